/** What Huawei Cloud's services have in common in their answers. */
import { z } from 'zod';
import type { CloudReader, ReadRequest } from '../port.js';

/** A text that a cloud may leave out or null. */
export const optionalText = z
  .string()
  .nullish()
  .transform((text) => text ?? '');

/** How large something is: told to people and compared, so that no shape of it may make a read fail. */
export const sizeField = z
  .union([z.string(), z.number()])
  .nullish()
  .catch(null)
  .transform((size) => (size === null || size === undefined ? '' : String(size)));

export const tagsField = z
  .array(z.object({ key: z.string(), value: z.string().nullish() }))
  .nullish()
  .transform((tags) => (tags ?? []).map(({ key, value }) => ({ key, value: value ?? '' })));

/** One page of a list, and how many entries there are in all. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly total: number;
}

export const PAGE_SIZE = 50;

/** Every entry of a list that is paged by `offset` and `limit`. */
export async function allPages<T extends { readonly id: string }>(
  reader: CloudReader,
  request: ReadRequest,
  schema: z.ZodType<Page<T>>,
): Promise<T[]> {
  // By id, since a list that grows while it is read gives the same entry twice.
  const all = new Map<string, T>();
  for (let offset = 0; ;) {
    const query = { ...request.query, offset: String(offset), limit: String(PAGE_SIZE) };
    const { items, total } = await reader.read({ ...request, query }, schema);
    for (const item of items) all.set(item.id, item);
    offset += items.length;
    if (items.length === 0 || offset >= total) return [...all.values()];
  }
}
