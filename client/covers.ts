/** What `--scope` and `--except` say: `account=prod,service=dcs`. */
import { CLOUD_APIS } from '../activities/clouds/index.js';
import { suggest } from '../plan/problems.js';
import { COVER_KEYS, type Cover, type CoverKey } from '../workflows/contracts/freezes.js';

/** Values that are known beforehand: a word that is none of them would freeze nothing. */
const KNOWN: Readonly<Partial<Record<CoverKey, readonly string[]>>> = {
  cloud: [...new Set(CLOUD_APIS.map(({ cloud }) => cloud))],
  service: [...new Set(CLOUD_APIS.flatMap(({ service, family }) => [service, family]))],
};

/**
 * @param text `all`, or pairs with a comma between them; a key that comes several times fits with any of its values
 * @throws RangeError: one line, with the remedy
 */
export function parseCover(text: string): Cover {
  if (text === 'all') return {};
  const cover: Partial<Record<CoverKey, string[]>> = {};
  for (const pair of text.split(',')) {
    const [, name = '', value = ''] = /^\s*([^=]*?)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
    const key = COVER_KEYS.find((one) => one === name);
    if (!pair.includes('=')) throw new RangeError(`"${pair}" is no scope: write all, or KEY=VALUE as in account=prod.`);
    if (key === undefined) throw new RangeError(`"${name}" is nothing to freeze by (${suggest(name, COVER_KEYS)}).`);
    if (value === '') throw new RangeError(`${key} has no value.`);
    if (key === 'tag' && !/^[^=]+=/.test(value)) throw new RangeError(`Write a tag as tag=NAME=VALUE, not "${pair}".`);
    const known = KNOWN[key];
    if (known !== undefined && !known.includes(value)) {
      throw new RangeError(`There is no ${key} "${value}" (${suggest(value, known)}).`);
    }
    cover[key] = [...(cover[key] ?? []), value];
  }
  return cover;
}
