// The workspace as the checks of the repo see it: its packages, their manifests, and where things are.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly imports?: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

export interface WorkspacePackage {
  readonly name: string;
  /** Absolute. */
  readonly dir: string;
  /** Relative to the root, with forward slashes: `packages/cache`. */
  readonly folder: string;
  readonly manifest: Manifest;
  /** Boundary tag of its turbo.json: foundation, kernel, integration, app, harness or tooling. */
  readonly tag: string | undefined;
}

export const workspaceRoot: string = path.resolve(import.meta.dirname, '..');

/** Every package of the workspace below `root`, sorted by folder. */
export function workspacePackages(root: string = workspaceRoot): WorkspacePackage[] {
  const folders = ['bench', 'tooling'];
  for (const parent of ['packages', 'apps']) {
    const dir = path.join(root, parent);
    if (!existsSync(dir)) continue;
    for (const name of readdirSync(dir)) folders.push(`${parent}/${name}`);
  }
  const packages: WorkspacePackage[] = [];
  for (const folder of folders.toSorted()) {
    const dir = path.join(root, folder);
    const file = path.join(dir, 'package.json');
    if (!existsSync(file)) continue;
    const manifest = readJson(file) as Manifest;
    const turbo = path.join(dir, 'turbo.json');
    const tag = existsSync(turbo) ? (readJson(turbo) as { tags?: string[] }).tags?.[0] : undefined;
    packages.push({ name: manifest.name, dir, folder, manifest, tag });
  }
  return packages;
}

/** Packages that are published. */
export function publishedPackages(root: string = workspaceRoot): WorkspacePackage[] {
  return workspacePackages(root).filter((p) => p.manifest.private !== true);
}

/** Every file below `dir` whose name ends with `ending`, absolute, sorted; skips node_modules, dist and dot folders. */
export function filesBelow(dir: string, ending: string): string[] {
  if (!existsSync(dir)) return [];
  const found: string[] = [];
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const file = path.join(dir, entry.name);
    if (entry.isDirectory()) {
      if (entry.name === 'node_modules' || entry.name === 'dist' || entry.name.startsWith('.')) continue;
      found.push(...filesBelow(file, ending));
    } else if (entry.name.endsWith(ending)) found.push(file);
  }
  return found.toSorted();
}

/** Parses a JSON file of this repo; the caller names its shape. */
export function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}
