/** `pergola info`: what a model set holds, and what it lacks. */
import { stat } from 'node:fs/promises';
import { PergolaError, sizeOf } from '@pergola/core';
import { openModelWeights, readModelFile } from '../checkpoints/model-file.ts';
import type { WeightStore } from '../checkpoints/weight-store.ts';
import { BUNDLED_MODEL } from '../pipeline/bundled.ts';
import { networkProblems, openModelSet, type ModelEntry } from '../pipeline/model-set.ts';
import type { CommandSpec, ParsedArguments } from './arguments.ts';
import { formatBytes, formatTable, type Terminal } from './terminal.ts';

export const INFO: CommandSpec = {
  name: 'info',
  description: 'Lists the networks of a model set, and what is missing.',
  argument: {
    name: 'folder',
    description: 'a model set (default: the bundled one)',
    optional: true,
  },
  options: [
    { name: 'json', description: 'print as JSON' },
    { name: 'help', short: 'h', description: 'show this' },
  ],
};

/** One network of the set. */
interface NetworkInfo {
  readonly role: string;
  /** Path of its files, without extension. */
  readonly path: string;
  readonly class?: string;
  readonly parameters?: number;
  readonly bytes?: number;
  /** Stored dtypes with their number of tensors. */
  readonly dtypes?: Readonly<Record<string, number>>;
  /** Why it cannot be used. */
  readonly problem?: string;
}

function countParameters(store: WeightStore): Pick<NetworkInfo, 'parameters' | 'dtypes'> {
  let parameters = 0;
  const dtypes: Record<string, number> = {};
  for (const name of store.names) {
    const { dtype, shape } = store.info(name)!;
    parameters += sizeOf(shape);
    dtypes[dtype] = (dtypes[dtype] ?? 0) + 1;
  }
  return { parameters, dtypes };
}

async function describe({ role, stem }: ModelEntry): Promise<NetworkInfo> {
  let known: NetworkInfo = { role, path: stem };
  try {
    const description = await readModelFile(stem);
    known = { ...known, class: description.name };
    const store = await openModelWeights(stem);
    try {
      const { size } = await stat(store.location);
      known = { ...known, ...countParameters(store), bytes: size };
      const problems = networkProblems(description, store);
      return problems.length === 0 ? known : { ...known, problem: problems.join('; ') };
    } finally {
      await store.close();
    }
  } catch (error) {
    if (error instanceof PergolaError) return { ...known, problem: error.message };
    throw error;
  }
}

function row(network: NetworkInfo): string[] {
  const { role, class: name = '?', parameters, bytes, dtypes = {}, problem } = network;
  const stored = Object.entries(dtypes).map(([dtype, count]) => `${count} ${dtype}`);
  return [
    role,
    name,
    parameters === undefined ? '' : `${(parameters / 1e6).toFixed(2)} M`,
    bytes === undefined ? '' : formatBytes(bytes),
    stored.join(', '),
    problem === undefined ? 'ok' : 'unusable',
  ];
}

/**
 * Runs the command.
 *
 * @returns 1 when a network is missing or damaged, else 0.
 * @throws CheckpointError when the folder is no model set.
 */
export async function info(
  { argument, switches }: ParsedArguments,
  terminal: Terminal,
): Promise<number> {
  const set = await openModelSet(argument ?? BUNDLED_MODEL);
  const networks: NetworkInfo[] = [];
  for (const entry of set.entries) networks.push(await describe(entry));
  const broken = networks.filter(({ problem }) => problem !== undefined);
  if (switches.has('json')) {
    const { structureSampler, latentSampler } = set.file;
    const report = { folder: set.folder, networks, structureSampler, latentSampler };
    terminal.out.write(`${JSON.stringify(report, null, 2)}\n`);
  } else {
    const total = networks.reduce((sum, { parameters = 0 }) => sum + parameters, 0);
    const head = ['network', 'class', 'parameters', 'file', 'tensors', ''];
    terminal.out.write(`${set.folder}\n${formatTable([head, ...networks.map(row)])}`);
    terminal.out.write(`${(total / 1e6).toFixed(2)} M parameters in ${networks.length} networks\n`);
    for (const { role, problem } of broken) terminal.out.write(`${role}: ${problem}\n`);
  }
  return broken.length > 0 ? 1 : 0;
}
