/**
 * The two text formats that Prometheus scrapes, from a prom-client registry of any content type. prom-client's own
 * OpenMetrics output renames the registered counters in place, so one registry cannot serve both; this one can.
 */

export type ExpositionFormat = 'prometheus' | 'openmetrics';

export const CONTENT_TYPES: Readonly<Record<ExpositionFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

interface ExposedFamily {
  readonly name: string;
  readonly help: string;
  readonly type: unknown;
  readonly values?: readonly {
    readonly metricName?: string;
    readonly labels: Readonly<Record<string, string | number | undefined>>;
    readonly value: number;
  }[];
}

/** OpenMetrics when the `Accept` header prefers it, else the Prometheus format, which every scraper reads. */
export function negotiate(accept: string | undefined): ExpositionFormat {
  const quality = { prometheus: 0, openmetrics: 0 };
  for (const range of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    const weight = q === undefined ? 1 : Number(q.slice(2));
    if (!(weight >= 0 && weight <= 1)) continue;
    if (type === 'application/openmetrics-text') quality.openmetrics = Math.max(quality.openmetrics, weight);
    else if (type === 'text/plain' || type === 'text/*' || type === '*/*') {
      quality.prometheus = Math.max(quality.prometheus, weight);
    }
  }
  return quality.openmetrics > 0 && quality.openmetrics >= quality.prometheus ? 'openmetrics' : 'prometheus';
}

export function formatFamilies(families: readonly ExposedFamily[], format: ExpositionFormat): string {
  const open = format === 'openmetrics';
  const lines: string[] = [];
  for (const family of families) {
    const isCounter = family.type === 'counter';
    const stem = isCounter && open ? family.name.replace(/_total$/, '') : family.name;
    const help = escapeText(family.help);
    lines.push(
      `# HELP ${stem} ${open ? help.replaceAll('"', String.raw`\"`) : help}`,
      `# TYPE ${stem} ${String(family.type)}`,
    );
    for (const { metricName, labels, value } of family.values ?? []) {
      const name = metricName ?? (isCounter && open ? `${stem}_total` : stem);
      lines.push(`${name}${formatLabels(labels, open)} ${formatNumber(value)}`);
    }
    if (!open) lines.push('');
  }
  if (open) lines.push('# EOF');
  else lines.pop();
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

function formatLabels(labels: Readonly<Record<string, string | number | undefined>>, open: boolean): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(labels)) {
    if (value === undefined) continue;
    const bound = open && (name === 'le' || name === 'quantile') && Number.isInteger(value);
    const text = bound ? `${value}.0` : escapeText(String(value)).replaceAll('"', String.raw`\"`);
    parts.push(`${name}="${text}"`);
  }
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function formatNumber(value: number): string {
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  return String(value);
}

function escapeText(text: string): string {
  return text.replaceAll('\\', String.raw`\\`).replaceAll('\n', String.raw`\n`);
}
