/**
 * How the time of a backtracking run can grow with the length of the text, judged from above: a regex called linear is;
 * one called exponential may be harmless.
 *
 * An open repetition (no upper limit) may be left at any place, so each one in a sequence adds a power; so does the
 * search for a start when the regex is not anchored. Repetition within repetition, or of alternatives that can begin
 * alike, may split one text in exponentially many ways.
 */
import { RegExpParser, type AST } from '@eslint-community/regexpp';

export interface Complexity {
  readonly kind: 'linear' | 'polynomial' | 'exponential';
  /** Power of the text's length; Infinity when exponential. */
  readonly degree: number;
}

/** Rounds up to which a varying number of them within another repetition is a constant factor. */
const FEW_ROUNDS = 4;

export function complexityOf(source: string, flags: string): Complexity {
  const degree = degreeOf(source, flags);
  if (degree === Infinity) return { kind: 'exponential', degree };
  return { kind: degree <= 1 ? 'linear' : 'polynomial', degree };
}

function degreeOf(source: string, flags: string): number {
  let pattern: AST.Pattern;
  try {
    pattern = new RegExpParser().parsePattern(source, 0, source.length, {
      unicode: flags.includes('u'),
      unicodeSets: flags.includes('v'),
    });
  } catch {
    return Infinity;
  }
  const inner = alternatives(pattern.alternatives);
  const pinned = flags.includes('y') || (!flags.includes('m') && pattern.alternatives.every(isPinned));
  // Without an open repetition a start is tried in constant time.
  return inner === 0 ? 1 : inner + (pinned ? 0 : 1);
}

function alternatives(list: readonly AST.Alternative[]): number {
  return Math.max(
    0,
    ...list.map(({ elements }) => elements.reduce((sum, element) => sum + powerOf(element), 0)),
  );
}

function powerOf(node: AST.Element): number {
  switch (node.type) {
    case 'Quantifier':
      return repetition(node);
    case 'CapturingGroup':
    case 'Group':
      return alternatives(node.alternatives);
    case 'Assertion':
      return node.kind === 'lookahead' || node.kind === 'lookbehind' ? alternatives(node.alternatives) : 0;
    case 'Backreference':
      return 1;
    default:
      return 0;
  }
}

function repetition({ element, min, max }: AST.Quantifier): number {
  const inner = powerOf(element);
  if (max <= 1) return inner;
  const varies = min !== max;
  if (inner > 0 || (varies && max > FEW_ROUNDS && canSplit(element)))
    return varies || inner > 1 ? Infinity : inner * max;
  return max === Infinity ? 1 : 0;
}

/** Whether one text may be several rounds in several ways. */
function canSplit(node: AST.Element): boolean {
  if (node.type !== 'Group' && node.type !== 'CapturingGroup') return false;
  const starts = node.alternatives.map(({ elements: [first] }) =>
    first?.type === 'Character' ? first.value : undefined,
  );
  const distinct = starts.every((start) => start !== undefined) && new Set(starts).size === starts.length;
  if (node.alternatives.length > 1 && !distinct) return true;
  return node.alternatives.some(({ elements }) =>
    elements.some((element) =>
      element.type === 'Quantifier' ? element.min !== element.max : canSplit(element),
    ),
  );
}

function isPinned({ elements: [first] }: AST.Alternative): boolean {
  return first?.type === 'Assertion' && first.kind === 'start';
}
