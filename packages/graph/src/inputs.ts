// What callers hand in and get back, and the checks at the door.

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface NodeInput {
  /** Not empty, well-formed UTF-16, at most 65,535 characters. */
  readonly id: string;
  /** `''` is the type of a node that an edge created. */
  readonly type: string;
  /** Text for readers and for `search`. */
  readonly content?: string | undefined;
  readonly metadata?: Json | undefined;
  /** 0 to 1. Default 1. */
  readonly confidence?: number | undefined;
  readonly embedding?: Float32Array | undefined;
  /** Default: the time of the first put. */
  readonly createdAtMs?: number | undefined;
}

/** An edge is (source, target, type); putting it again replaces the rest. */
export interface EdgeInput {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  /** Finite, not negative. Default 1. */
  readonly weight?: number | undefined;
  readonly metadata?: Json | undefined;
  /** The edge is valid at t when `validFromMs <= t < validToMs`. Default: always was. */
  readonly validFromMs?: number | undefined;
  /** Default: always will be. */
  readonly validToMs?: number | undefined;
}

/** A node as it was when it was read; a fresh object each time. */
export interface GraphNode {
  readonly id: string;
  readonly type: string;
  readonly confidence: number;
  readonly createdAtMs: number;
  readonly content?: string;
  readonly metadata?: Json;
  readonly embedding?: Float32Array;
}

export interface GraphEdge {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly weight: number;
  readonly metadata?: Json;
  readonly validFromMs?: number;
  readonly validToMs?: number;
}

const MAX_NAME_LENGTH = 65_535;

/** @throws {TypeError} {@link RangeError} naming the field that is wrong. */
export function checkNode(node: NodeInput): void {
  if (typeof node !== 'object' || node === null) throw new TypeError('a node must be an object');
  checkId('id', node.id);
  checkType('type', node.type);
  if (node.content !== undefined && typeof node.content !== 'string') {
    throw new TypeError('content must be a string');
  }
  if (node.confidence !== undefined) {
    checkNumber('confidence', node.confidence);
    if (!(node.confidence >= 0 && node.confidence <= 1))
      throw new RangeError('confidence must be from 0 to 1');
  }
  if (node.embedding !== undefined && !(node.embedding instanceof Float32Array)) {
    throw new TypeError('embedding must be a Float32Array');
  }
  if (node.createdAtMs !== undefined) checkFinite('createdAtMs', node.createdAtMs);
}

/** @throws {TypeError} {@link RangeError} naming the field that is wrong. */
export function checkEdge(edge: EdgeInput): void {
  if (typeof edge !== 'object' || edge === null) throw new TypeError('an edge must be an object');
  checkId('source', edge.source);
  checkId('target', edge.target);
  checkType('type', edge.type);
  if (edge.weight !== undefined) {
    checkFinite('weight', edge.weight);
    if (edge.weight < 0) throw new RangeError('weight must not be negative');
  }
  if (edge.validFromMs !== undefined) checkFinite('validFromMs', edge.validFromMs);
  if (edge.validToMs !== undefined) checkFinite('validToMs', edge.validToMs);
}

export function checkId(name: string, id: string): void {
  if (typeof id !== 'string') throw new TypeError(`${name} must be a string`);
  if (id.length === 0 || id.length > MAX_NAME_LENGTH) {
    throw new RangeError(`${name} must have 1 to ${MAX_NAME_LENGTH} characters`);
  }
  if (!id.isWellFormed()) throw new TypeError(`${name} must be well-formed UTF-16`);
}

export function checkType(name: string, type: string): void {
  if (typeof type !== 'string') throw new TypeError(`${name} must be a string`);
  if (type.length > MAX_NAME_LENGTH)
    throw new RangeError(`${name} must have at most ${MAX_NAME_LENGTH} characters`);
  if (!type.isWellFormed()) throw new TypeError(`${name} must be well-formed UTF-16`);
}

/** JSON text of metadata, or null when there is none. */
export function metadataText(metadata: Json | undefined): string | null {
  if (metadata === undefined) return null;
  const text = JSON.stringify(metadata) as string | undefined;
  if (text === undefined) throw new TypeError('metadata must be a JSON value');
  return text;
}

function checkFinite(name: string, value: number): void {
  checkNumber(name, value);
  if (!Number.isFinite(value)) throw new RangeError(`${name} must be finite`);
}

function checkNumber(name: string, value: number): void {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`);
}
