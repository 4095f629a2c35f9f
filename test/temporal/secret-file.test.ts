/** Which files are taken for a secret's, by whoever reads one. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { modeNeeded, readSecretFile } from '../../temporal/secret-file.js';

const ME = 1000;

describe('a mode keeps a secret', () => {
  it.each([0o600, 0o400, 0o700])('of this user: %o', (mode) => {
    expect(modeNeeded({ mode, uid: ME }, ME)).toBeNull();
  });

  // fsGroup of Kubernetes gives a secret's files the first one.
  it.each([0o440, 0o640, 0o400, 0o600])('of root, where its group may read it: %o', (mode) => {
    expect(modeNeeded({ mode, uid: 0 }, ME)).toBeNull();
  });

  it.each([0o640, 0o440, 0o620, 0o604, 0o602, 0o644])('or needs another, where it is of this user: %o', (mode) => {
    expect(modeNeeded({ mode, uid: ME }, ME)).toBe('600');
    expect(modeNeeded({ mode, uid: 0 }, 0)).toBe('600');
  });

  it.each([0o644, 0o444, 0o660, 0o620, 0o604, 0o602])('or needs another, where it is of root: %o', (mode) => {
    expect(modeNeeded({ mode, uid: 0 }, ME)).toBe('640');
  });

  it('as one of this user, where the system has no users', () => {
    expect(modeNeeded({ mode: 0o600, uid: 0 }, undefined)).toBeNull();
    expect(modeNeeded({ mode: 0o640, uid: process.geteuid?.() ?? 0 })).toBe('600');
  });
});

describe('a file', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'uplift-secret-'));
    path = join(folder, 'secret');
    writeFileSync(path, 'not-to-be-shown');
  });
  afterEach(() => {
    vi.restoreAllMocks();
    rmSync(folder, { recursive: true, force: true });
  });
  const read = () => readSecretFile('WHERE', path);

  it('of somebody else is read where its group may read it, and not where others may', () => {
    const self = process.geteuid?.() ?? 0;
    vi.spyOn(process, 'geteuid').mockReturnValue(self + 1);
    chmodSync(path, 0o440);
    expect(read()).toBe('not-to-be-shown');
    chmodSync(path, 0o644);
    expect(read).toThrow(`WHERE: "${path}" can be read or written by others (its mode is 644: chmod 640 ${path})`);
  });

  it('of this user is not read where its group may read it', () => {
    chmodSync(path, 0o440);
    expect(read).toThrow(`WHERE: "${path}" can be read or written by others (its mode is 440: chmod 600 ${path})`);
  });
});

describe('what names no file', () => {
  it.each(['/nowhere/key', 'keys/api.key', './key', 'key.pem', '~/key', `/${'a'.repeat(98)}`])(
    'is quoted: %s',
    (text) => {
      expect(() => readSecretFile('WHERE', text)).toThrow(`WHERE: "${text}" cannot be read: ENOENT`);
    },
  );

  const HIDDEN = 'WHERE: what it names cannot be read (name a file, not what stands in it)';
  it.each([
    ['a token', 'eyJhbGciOiJub25lIn0.e30.c2lnbmF0dXJl'],
    ['a key of one word', 'sk-not-to-be-shown'],
    ['an encryption key', `2026-11:${Buffer.alloc(32, 0xff).toString('base64')}`],
    ['several lines', 'new:/a+b.c\nold:/d'],
    ['PEM', '-----BEGIN_PRIVATE_KEY-----/a.b'],
    ['much', `/${'a'.repeat(99)}`],
  ])('is not where it is like %s', (_what, text) => {
    let told = '';
    try {
      readSecretFile('WHERE', text);
    } catch (error) {
      told = error instanceof Error ? error.message : '';
    }
    expect(told).toBe(HIDDEN);
  });
});
