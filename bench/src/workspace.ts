export { runWorkspace } from './workspace-run.ts';
export type { WorkspaceRun } from './workspace-run.ts';
