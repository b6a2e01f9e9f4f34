/** KPIs as files for Prometheus, Alertmanager and Grafana, so that what is judged in-process is watched from outside. */
import { stringify } from 'yaml';
import { alertExpression, alertName } from './alert-expression.ts';
import { dashboardOf } from './dashboard.ts';
import { checkKpis } from './kpi.ts';
import type { Kpi } from './kpi.ts';
import { ruleTestsOf } from './rule-tests.ts';

export interface MonitoringExport {
  /** For `rule_files` of Prometheus; the rule tests expect it as `perf-rules.yml` beside them. */
  readonly rules: string;
  /** For `promtool test rules`. */
  readonly ruleTests: string;
  /** For Alertmanager: critical before warning, one notification per KPI. */
  readonly alertmanager: string;
  /** For Grafana's import. */
  readonly dashboard: object;
}

export interface ExportOptions {
  /** Where Alertmanager sends notifications. Default: receivers without a target, to be filled in. */
  readonly webhookUrl?: string;
}

const DEFAULT_FOR_MS = 300_000;
/** Long lines stay whole, or PromQL would be folded. */
const YAML = { lineWidth: 0 };

/** @throws {TypeError | RangeError} when a KPI cannot be judged, or `webhookUrl` is not an http URL. */
export function exportMonitoring(kpis: readonly Kpi[], options: ExportOptions = {}): MonitoringExport {
  checkKpis(kpis);
  const { webhookUrl } = options;
  if (webhookUrl !== undefined && !/^https?:$/.test(URL.parse(webhookUrl)?.protocol ?? '')) {
    throw new TypeError('webhookUrl must be an http or https URL');
  }
  const alerts = kpis.map((kpi) => {
    const labels = { severity: kpi.severity ?? 'warning', kpi: kpi.id };
    const side = kpi.direction === 'atMost' ? 'above' : 'below';
    const annotations = { summary: `${kpi.title}: ${side} the target of ${kpi.target} ${kpi.unit}` };
    return { kpi, labels, annotations, forMs: kpi.forMs ?? DEFAULT_FOR_MS };
  });
  const rules = {
    groups: [
      {
        name: 'perf-kpis',
        rules: alerts.map(({ kpi, labels, annotations, forMs }) => ({
          alert: alertName(kpi),
          expr: alertExpression(kpi),
          for: `${Math.round(forMs)}ms`,
          labels,
          annotations,
        })),
      },
    ],
  };
  const ruleTests = {
    rule_files: ['perf-rules.yml'],
    evaluation_interval: '1m',
    tests: alerts.flatMap(({ kpi, labels, annotations, forMs }) =>
      ruleTestsOf(kpi, forMs, { ...labels }, { ...annotations }),
    ),
  };
  return {
    rules: stringify(rules, YAML),
    ruleTests: stringify(ruleTests, { ...YAML, aliasDuplicateObjects: false }),
    alertmanager: stringify(alertmanagerConfig(webhookUrl), YAML),
    dashboard: dashboardOf(kpis),
  };
}

function alertmanagerConfig(webhookUrl: string | undefined): object {
  const target =
    webhookUrl === undefined ? {} : { webhook_configs: [{ url: webhookUrl, send_resolved: true }] };
  return {
    route: {
      receiver: 'perf-warning',
      group_by: ['kpi'],
      group_wait: '30s',
      group_interval: '5m',
      repeat_interval: '4h',
      routes: [{ receiver: 'perf-critical', matchers: ['severity="critical"'], repeat_interval: '1h' }],
    },
    receivers: [
      { name: 'perf-warning', ...target },
      { name: 'perf-critical', ...target },
    ],
    inhibit_rules: [
      { source_matchers: ['severity="critical"'], target_matchers: ['severity="warning"'], equal: ['kpi'] },
    ],
  };
}
