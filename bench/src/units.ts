/** Numbers as a reader wants them: three significant digits and a unit that fits. */

export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 90_000) return `${trim3(ms / 1000)} s`;
  return `${trim3(ms / 60_000)} min`;
}

export function formatNs(ns: number): string {
  if (ns < 1000) return `${trim3(ns)} ns`;
  if (ns < 1e6) return `${trim3(ns / 1000)} us`;
  if (ns < 1e9) return `${trim3(ns / 1e6)} ms`;
  return `${trim3(ns / 1e9)} s`;
}

export function formatRatio(ratio: number): string {
  return `${ratio >= 100 ? Math.round(ratio) : trim3(ratio)}x`;
}

export function formatValue(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString('en-US').replaceAll(',', ' ');
  return Math.abs(value) >= 1000 ? formatValue(Math.round(value)) : trim3(value);
}

export function formatBytes(bytes: number): string {
  const gib = bytes / 2 ** 30;
  return gib >= 1 ? `${trim3(gib)} GiB` : `${trim3(bytes / 2 ** 20)} MiB`;
}

function trim3(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) >= 100) return String(Math.round(value));
  return value.toPrecision(3);
}
