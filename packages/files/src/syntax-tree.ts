/**
 * What a chunker needs of a syntax tree: where a chunk may begin, how good each place is, and what is declared where.
 *
 * The tree is read from the top; only a node that is larger than a chunk is entered. A boundary is the beginning of a
 * line on which such a child begins, with the comments and decorators right above it; its rank is how deep it is, so
 * that a lower rank cuts between larger wholes.
 */
import type { Node } from 'web-tree-sitter';
import { parseLoaded } from './language.ts';

/** A piece of source with a kind; its children are known when it is larger than a chunk. */
export interface Item {
  readonly start: number;
  readonly end: number;
  readonly kind: string;
  readonly name: string | undefined;
  /** Names of the declarations around it, outermost first. */
  readonly path: readonly string[];
  readonly children: readonly Item[];
}

export interface Outline {
  readonly items: readonly Item[];
  /** Ascending offsets where a chunk may begin, and their ranks; rank 0 is between top-level items. */
  readonly offsets: readonly number[];
  readonly ranks: readonly number[];
}

const KINDS: Readonly<Record<string, string>> = {
  function_declaration: 'function',
  generator_function_declaration: 'function',
  function_definition: 'function',
  function_item: 'function',
  function_signature: 'function',
  method_definition: 'method',
  method_declaration: 'method',
  constructor_declaration: 'method',
  class_declaration: 'class',
  abstract_class_declaration: 'class',
  class_definition: 'class',
  record_declaration: 'class',
  interface_declaration: 'interface',
  trait_item: 'interface',
  type_alias_declaration: 'type',
  type_declaration: 'type',
  type_item: 'type',
  struct_item: 'struct',
  impl_item: 'impl',
  enum_declaration: 'enum',
  enum_item: 'enum',
  internal_module: 'module',
  mod_item: 'module',
  lexical_declaration: 'variable',
  variable_declaration: 'variable',
  const_item: 'variable',
  static_item: 'variable',
  const_declaration: 'variable',
  var_declaration: 'variable',
  import_statement: 'import',
  import_from_statement: 'import',
  import_declaration: 'import',
  use_declaration: 'import',
  comment: 'comment',
  line_comment: 'comment',
  block_comment: 'comment',
};

/** They belong to what follows them. */
const LEADING = new Set(['comment', 'line_comment', 'block_comment', 'decorator', 'attribute_item']);
/** Wrappers whose inside says what they are, and the field it is in. */
const WRAPPERS: Readonly<Record<string, string>> = {
  export_statement: 'declaration',
  decorated_definition: 'definition',
};
/** What holds the members of a declaration; reached only in one that is too large, and entered whatever their size. */
const BODIES = new Set(['class_body', 'interface_body', 'declaration_list', 'block']);
/** Deeper nesting is cut as text. */
const MAX_DEPTH = 64;

/** `undefined` when the language's grammar is not loaded. Linear in what is larger than `maxChars`. */
export function outlineOf(text: string, language: string, maxChars: number): Outline | undefined {
  const tree = parseLoaded(text, language);
  if (tree === undefined) return undefined;
  try {
    const boundaries = new Map<number, number>();
    const items = itemsOf(tree.rootNode, { text, maxChars, boundaries }, 0, [], false);
    const offsets = [...boundaries.keys()].sort((a, b) => a - b);
    return { items, offsets, ranks: offsets.map((offset) => boundaries.get(offset) ?? 0) };
  } finally {
    tree.delete();
  }
}

interface Reading {
  readonly text: string;
  readonly maxChars: number;
  readonly boundaries: Map<number, number>;
}

function itemsOf(
  node: Node,
  reading: Reading,
  depth: number,
  path: readonly string[],
  inClass: boolean,
): Item[] {
  const items: Item[] = [];
  let leadingStart: number | undefined;
  let leadingRow = 0;
  for (const child of node.namedChildren) {
    const row = child.startPosition.row;
    const attached = leadingStart !== undefined && row <= leadingRow + 1;
    const start: number = attached ? (leadingStart as number) : lineStart(reading.text, child.startIndex);
    if (!attached && start !== -1 && !reading.boundaries.has(start)) reading.boundaries.set(start, depth);
    if (LEADING.has(child.type)) {
      // A comment behind code on the same line is that code's.
      leadingStart = start === -1 ? undefined : start;
      leadingRow = child.endPosition.row;
    } else leadingStart = undefined;
    items.push(itemOf(child, start === -1 ? child.startIndex : start, reading, depth, path, inClass));
  }
  return items;
}

function itemOf(
  node: Node,
  start: number,
  reading: Reading,
  depth: number,
  path: readonly string[],
  inClass: boolean,
): Item {
  const field = WRAPPERS[node.type];
  const inner = (field === undefined ? undefined : node.childForFieldName(field)) ?? node;
  let kind = KINDS[inner.type] ?? 'code';
  if (kind === 'function' && inClass) kind = 'method';
  const name = kind === 'code' || kind === 'comment' || kind === 'import' ? undefined : nameOf(inner);
  if (kind === 'variable' && holdsFunction(inner)) kind = 'function';
  const large = (node.endIndex - start > reading.maxChars || BODIES.has(node.type)) && depth < MAX_DEPTH;
  const isClass = kind === 'class' || kind === 'impl' || kind === 'interface';
  const children = large
    ? itemsOf(
        inner,
        reading,
        depth + 1,
        name === undefined ? path : [...path, name],
        isClass || (inClass && kind === 'code'),
      )
    : [];
  return { start, end: node.endIndex, kind, name, path, children };
}

function nameOf(node: Node): string | undefined {
  const named =
    node.childForFieldName('name') ?? (node.type === 'impl_item' ? node.childForFieldName('type') : null);
  if (named !== null) return named.text;
  for (const child of node.namedChildren) {
    const inside = child.childForFieldName('name');
    if (inside !== null) return inside.text;
  }
  return undefined;
}

function holdsFunction(node: Node): boolean {
  const value = node.namedChildren[0]?.childForFieldName('value');
  return value?.type === 'arrow_function' || value?.type === 'function_expression';
}

/** The beginning of the line when only blanks precede `index` on it, else -1. */
function lineStart(text: string, index: number): number {
  let at = index;
  for (;;) {
    const unit = at === 0 ? 10 : text.charCodeAt(at - 1);
    if (unit === 10) return at;
    if (unit !== 32 && unit !== 9) return -1;
    at--;
  }
}
