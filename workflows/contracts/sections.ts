/** The sections of the ledger, by name; `ledger.ts` says how one is added. */
import { durations } from './durations.js';
import { freezes } from './freezes.js';
import type { Section } from './ledger.js';
import { quarantine } from './quarantine.js';

export const SECTIONS = { durations, freezes, quarantine } as const;

export type SectionName = keyof typeof SECTIONS;
export type StateOf<Name extends SectionName> =
  (typeof SECTIONS)[Name] extends Section<infer State, infer _Change> ? State : never;
export type ChangeOf<Name extends SectionName> =
  (typeof SECTIONS)[Name] extends Section<infer _State, infer Change> ? Change : never;

/** @throws Error for a section of a newer release */
export function sectionOf(name: string): Section<unknown, unknown> {
  if (!Object.hasOwn(SECTIONS, name)) throw new Error(`the ledger has no section ${name}: update Uplift`);
  return SECTIONS[name as SectionName] as Section<unknown, unknown>;
}
