/**
 * Text to words, in lower case and NFKC. A word is a run of letters, marks, digits and underscores, with the plus and
 * number signs that end it (c++, c#). Runs in a script written without spaces are cut by the Unicode word
 * segmentation of `Intl.Segmenter`; elsewhere it would only be slower (UAX 29 finds the same words).
 */
const WORD = /[\p{L}\p{M}\p{N}_]+(?:[+#]+(?![\p{L}\p{M}\p{N}_]))?/gu;
const ASCII_WORD = /[a-z0-9_]+(?:[+#]+(?![a-z0-9_]))?/g;
// oxlint-disable-next-line no-control-regex -- the whole of ASCII is meant
const ASCII = /^[\x00-\x7f]*$/;
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

export function words(text: string): string[] {
  if (ASCII.test(text)) return text.toLowerCase().match(ASCII_WORD) ?? [];
  const runs = text.normalize('NFKC').toLowerCase().match(WORD) ?? [];
  return runs.some((run) => UNSPACED.test(run)) ? runs.flatMap(segment) : runs;
}

function segment(run: string): string[] {
  if (!UNSPACED.test(run)) return [run];
  // Locale only tunes the dictionary of a few scripts; `und` keeps the result the same on every machine.
  const segmenter = new Intl.Segmenter('und', { granularity: 'word' });
  return Array.from(segmenter.segment(run), (part) => part.segment);
}
