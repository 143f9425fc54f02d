/** A folder of networks that make a pipeline: what it holds, and how each network comes from it. */
import { isFile, resolveLocation } from '#file-source';
import { bytesPerElement, InputError, sizeOf, type Device } from '@pergola/core';
import { parameterProblems, type TorsoDType } from '../checkpoints/load-parameters.ts';
import { folderOf, isAbsoluteLocation, joinLocation } from '../checkpoints/location.ts';
import {
  openModelWeights,
  readModelFile,
  type ModelDescription,
  type ModelExtras,
} from '../checkpoints/model-file.ts';
import type { WeightStore } from '../checkpoints/weight-store.ts';
import type { ModelName } from '../models/config.ts';
import type { Network } from '../models/network.ts';
import { NETWORK_CLASSES, type NetworkClass, type NetworksByName } from './network-classes.ts';
import type { NetworkSource } from './network-set.ts';
import { readPipelineFile, type ModelRole, type PipelineFile } from './pipeline-file.ts';

/** One network of a set. */
export interface ModelEntry {
  /** As the pipeline file calls it. */
  readonly role: ModelRole | 'image_cond_model' | 'text_cond_model';
  /** Path of its two files, without extension. */
  readonly stem: string;
}

/** A model set whose pipeline file was read; the networks' own files are not opened yet. */
export interface ModelSet {
  readonly folder: string;
  readonly file: PipelineFile;
  readonly entries: readonly ModelEntry[];
}

/**
 * Where a network lies that a pipeline file names: below the set, or, named `owner/set/path` as text sets name the
 * decoders of the image set, in a sibling folder `set`.
 */
async function locate(folder: string, path: string): Promise<string> {
  if (isAbsoluteLocation(path)) return path;
  const own = joinLocation(folder, path);
  const [, sibling, ...rest] = path.split('/');
  if (rest.length === 0 || (await isFile(`${own}.json`))) return own;
  const shared = joinLocation(folderOf(folder), sibling!, ...rest);
  return (await isFile(`${shared}.json`)) ? shared : own;
}

/** Reads the pipeline file of a folder. @throws CheckpointError when it is missing or wrong. */
export async function openModelSet(folder: string): Promise<ModelSet> {
  const full = resolveLocation(folder);
  const file = await readPipelineFile(full);
  const named: [ModelEntry['role'], string | undefined][] = [
    ...(Object.entries(file.models) as [ModelRole, string][]),
    ['image_cond_model', file.imageEncoder],
    ['text_cond_model', file.textEncoder],
  ];
  const entries: ModelEntry[] = [];
  for (const [role, path] of named) {
    if (path !== undefined) entries.push({ role, stem: await locate(full, path) });
  }
  return { folder: full, file, entries };
}

/** Every way in which a weight file does not fit its network, as half sentences. */
export function networkProblems(description: ModelDescription, store: WeightStore): string[] {
  const network = NETWORK_CLASSES[description.name] as NetworkClass<unknown>;
  const named = network.named?.(store, description.config) ?? store;
  return parameterProblems(named, network.expectedParameters(description.config));
}

/** A network that is ready to be loaded, with what its file says. */
export interface OpenedNetwork<Name extends ModelName> extends NetworkSource<NetworksByName[Name]> {
  /** Path of its files, without extension; a folder for encoders that come as one. */
  readonly stem: string;
  readonly description: Extract<ModelDescription, { name: Name }> & ModelExtras;
}

/**
 * Prepares the network of a role, after a look at both of its files.
 *
 * @returns `undefined` when the set has no such role.
 * @throws CheckpointError when a file is missing, truncated or malformed, or describes another class.
 */
export async function findNetwork<Name extends ModelName>(
  set: ModelSet,
  role: ModelEntry['role'],
  name: Name,
  device: Device,
  dtype: TorsoDType,
): Promise<OpenedNetwork<Name> | undefined> {
  const entry = set.entries.find((candidate) => candidate.role === role);
  if (entry === undefined) return undefined;
  const description = await readModelFile(entry.stem);
  if (description.name !== name) {
    throw new InputError(
      `${entry.stem}.json: ${role} must be a ${name}, got a ${description.name}.`,
    );
  }
  await (await openModelWeights(entry.stem)).close();
  const network = NETWORK_CLASSES[name] as NetworkClass<unknown, NetworksByName[Name] & Network>;
  const { config } = description;
  const loadable = network.expectedParameters(config).filter(({ unused }) => unused !== true);
  return {
    stem: entry.stem,
    description: description as OpenedNetwork<Name>['description'],
    bytes: loadable.reduce(
      (sum, { shape, dtype: stored }) =>
        sum + sizeOf(shape) * bytesPerElement(stored === 'f16' ? dtype : 'f32'),
      0,
    ),
    async load(signal) {
      const store = await openModelWeights(entry.stem);
      try {
        return await network.load(store, config, device, {
          dtype,
          ...(signal === undefined ? {} : { signal }),
        });
      } finally {
        await store.close();
      }
    },
  };
}

/** As `findNetwork`, for a role that a pipeline cannot do without. @throws InputError when the set lacks it. */
export async function requireNetwork<Name extends ModelName>(
  set: ModelSet,
  role: ModelEntry['role'],
  name: Name,
  device: Device,
  dtype: TorsoDType,
): Promise<OpenedNetwork<Name>> {
  const found = await findNetwork(set, role, name, device, dtype);
  if (found !== undefined) return found;
  throw new InputError(`${joinLocation(set.folder, 'pipeline.json')}: the set has no ${role}.`);
}
