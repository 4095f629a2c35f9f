/**
 * No module of the workflows keeps anything: all workflows of a worker share one copy of each (worker/bundle.ts), so what
 * one of them kept there another one would find, and a replay elsewhere would not.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseAst } from 'vitest/node';

const workflows = new URL('../../workflows/', import.meta.url);

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

const FUNCTIONS = ['FunctionDeclaration', 'FunctionExpression', 'ArrowFunctionExpression'];
/** Methods that change what they are called on, where the SDK does not freeze it. */
const CHANGES = /^(push|pop|shift|unshift|splice|sort|reverse|fill|copyWithin|set|add|delete|clear)$/;
const CHANGES_FIRST = /^(Object|Reflect)\.(assign|define\w+|set\w*|delete\w+)$/;

/** What a module keeps, or could: in the words of its source. */
function keptBy(source: string): string[] {
  const program = parseAst(source, { lang: 'ts' }) as unknown as Node;
  const words = ({ start, end }: Node) => source.slice(start, end).replaceAll(/\s+/g, ' ').slice(0, 60);
  const own = ownNames(program);
  const sdk = importsOf(program, (from) => from.startsWith('@temporalio/'));
  const isOwn = (node: Node) => own.has(rootOf(node));

  const atLoad = nodesIn(program, isRunLater).filter((node) => {
    if (node.type === 'VariableDeclaration') return node['kind'] !== 'const';
    if (node.type === 'PropertyDefinition') return node['static'] === true;
    if (node.type === 'Literal') return /[gy]/.test((node['regex'] as { flags: string } | undefined)?.flags ?? '');
    if (node.type !== 'CallExpression') return ['NewExpression', 'StaticBlock', 'AwaitExpression'].includes(node.type);
    // A closure of our own could keep something; the SDK's definitions of messages and steps do not.
    const callee = node['callee'] as Node;
    return callee.type !== 'MemberExpression' && !sdk.has(rootOf(callee));
  });
  const changes = nodesIn(program, () => false).filter((node) => {
    if (node.type === 'AssignmentExpression') return isMember(node['left']) && isOwn(node['left']);
    if (node.type === 'UpdateExpression' || node['operator'] === 'delete') {
      return isMember(node['argument']) && isOwn(node['argument']);
    }
    if (node.type !== 'CallExpression' || !isMember(node['callee'])) return false;
    const {
      callee,
      arguments: [first],
    } = node as unknown as { callee: Node; arguments: Node[] };
    if (CHANGES_FIRST.test(words(callee))) return first !== undefined && isOwn(first);
    return CHANGES.test(words(callee['property'] as Node)) && isOwn(callee);
  });
  return [...atLoad, ...changes].map(words);
}

/** Names of the module's own constants, functions and classes, and of what it takes from other modules of ours. */
function ownNames(program: Node): Set<string> {
  const declared = nodesIn(program, isRunLater).flatMap(({ type, id }) =>
    ['VariableDeclarator', 'FunctionDeclaration', 'ClassDeclaration'].includes(type) ? [rootOf(id as Node)] : [],
  );
  return new Set([...declared, ...importsOf(program, (from) => from.startsWith('.'))]);
}

function importsOf(program: Node, isMeant: (from: string) => boolean): Set<string> {
  const imports = (program['body'] as Node[]).filter(
    ({ type, source }) => type === 'ImportDeclaration' && isMeant((source as { value: string }).value),
  );
  return new Set(imports.flatMap(({ specifiers }) => (specifiers as Node[]).map(({ local }) => rootOf(local as Node))));
}

/** A function's body, or a field that each instance has of its own. */
function isRunLater({ type, static: isStatic }: Node): boolean {
  return FUNCTIONS.includes(type) || (type === 'PropertyDefinition' && isStatic !== true);
}

/** A node and all below it, but for what is below those that are left out. */
function nodesIn(node: Node, isLeftOut: (node: Node) => boolean): Node[] {
  if (isLeftOut(node)) return [node];
  const below = Object.values(node).flat() as unknown[];
  return [node, ...below.flatMap((one) => (isNode(one) ? nodesIn(one, isLeftOut) : []))];
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value;
}

function isMember(value: unknown): value is Node {
  return isNode(value) && value.type === 'MemberExpression';
}

/** `a` of `a.b[c]`; empty where it is no name. */
function rootOf(node: Node): string {
  if (node.type === 'Identifier') return node['name'] as string;
  const inner = node['object'] ?? node['expression'];
  return isNode(inner) ? rootOf(inner) : '';
}

it.each([
  ['let last = 0;', 'let last = 0;'],
  ['export var last: number;', 'var last: number;'],
  ['const seen = new Map<string, number>();', 'new Map<string, number>()'],
  ['export const STATE = { seen: new Set() };', 'new Set()'],
  ['class A { static count = 0; }', 'static count = 0;'],
  ['const LINE = /a/g; export const f = (s: string) => LINE.test(s);', '/a/g'],
  ['const next = counter(); function counter() { let n = 0; return () => n++; }', 'counter()'],
  ['const next = (() => { let n = 0; return () => n++; })();', '(() => { let n = 0; return () => n++; })()'],
  ['const seen: string[] = []; export const f = (s: string) => { seen.push(s); };', 'seen.push(s)'],
  ['const TOLD = { at: 0 }; export function f() { TOLD.at = 1; }', 'TOLD.at = 1'],
  ['const TOLD = { at: { n: 0 } }; export function f() { TOLD.at.n += 1; }', 'TOLD.at.n += 1'],
  ['const TOLD = { n: 0 }; export class A { f() { TOLD.n++; } }', 'TOLD.n++'],
  ['const TOLD: Record<string, 1> = {}; export const f = (a: string) => delete TOLD[a];', 'delete TOLD[a]'],
  ['const TOLD = {}; export const f = (a: object) => Object.assign(TOLD, a);', 'Object.assign(TOLD, a)'],
  ["import { TOLD } from './told.js'; export const f = () => TOLD.sort();", 'TOLD.sort()'],
  ['export function f() { f.calls = 1; }', 'f.calls = 1'],
])('finds what is kept: %s', (source, kept) => {
  expect(keptBy(source)).toEqual([kept]);
});

it.each([
  'const LOOK = { first: 1 } as const; export const f = (n: number) => [...LIST, n].map((m) => m + LOOK.first);',
  'export class A { count = 0; readonly seen = new Map<string, number>(); f() { this.seen.set("a", 1); } }',
  'export function f(all: string) { let n = 0; const seen = new Set([1]); seen.add(2); n += 1; return all.replace(/a/g, ""); }',
  "import { defineSignal } from '@temporalio/workflow'; export const a = defineSignal('a');",
])('lets pass what keeps nothing: %s', (source) => {
  expect(keptBy(source)).toEqual([]);
});

const modules = readdirSync(workflows, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));

it('no module of the workflows keeps anything', () => {
  const kept = modules.flatMap((name) =>
    keptBy(readFileSync(new URL(name, workflows), 'utf8')).map((one) => `${name}: ${one}`),
  );
  expect(kept).toEqual([]);
  // What is bundled is what was looked at.
  expect(modules).toContain('index.ts');
});
