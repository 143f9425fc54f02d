/** `pergola generate`: a picture becomes 3D files. */
import { basename, extname } from 'node:path';
import { readImageFile } from '../conditioning/image-file.ts';
import { BUNDLED_MODEL } from '../pipeline/bundled.ts';
import { openDevice } from '../pipeline/devices.ts';
import type { LoadPipelineOptions } from '../pipeline/load-generation.ts';
import { ImageTo3D, type ImageRunOptions } from '../pipeline/image-to-3d.ts';
import {
  parseInteger,
  parseList,
  parseName,
  parseNumber,
  parsePair,
  type CommandSpec,
  type ParsedArguments,
} from './arguments.ts';
import { assetFiles, FILE_FORMATS, formatsToDecode, type FileFormat } from './asset-files.ts';
import { OutputFolder, type WrittenFile } from './output-folder.ts';
import { ProgressDisplay, type StageTime } from './progress-display.ts';
import { formatBytes, formatDuration, formatTable, type Terminal } from './terminal.ts';

export const GENERATE: CommandSpec = {
  name: 'generate',
  description: 'Turns a picture of an object into a 3D asset.',
  argument: {
    name: 'image',
    description: 'a PNG, JPEG or WebP picture with a transparent background',
  },
  options: [
    { name: 'out', short: 'o', value: 'folder', description: 'where the files go (default: out)' },
    { name: 'formats', value: 'list', description: 'any of glb,ply,png (default: all)' },
    { name: 'seed', value: 'number', description: 'which of the possible objects (default: 42)' },
    { name: 'num-samples', value: 'number', description: 'how many objects (default: 1)' },
    { name: 'steps', value: 'n[,n]', description: 'sampling steps of both stages, or of each' },
    {
      name: 'guidance',
      value: 's[,s]',
      description: 'strength of guidance of both stages, or of each',
    },
    {
      name: 'keep-background',
      description: 'use the whole picture; for pictures without transparency',
    },
    { name: 'model', value: 'folder', description: 'a model set (default: the bundled tiny one)' },
    {
      name: 'device',
      value: 'name',
      description: 'auto, cpu, or an installed backend (default: auto)',
    },
    {
      name: 'precision',
      value: 'name',
      description: 'f16 or f32, in which the networks compute (default: what is fastest there)',
    },
    {
      name: 'memory-budget',
      value: 'MB',
      description: 'device memory for weights; networks that exceed it are loaded in turn',
    },
    { name: 'json', description: 'print the result as JSON, and no progress' },
    { name: 'help', short: 'h', description: 'show this' },
  ],
};

const MAX_SAMPLES = 64;
const MAX_STEPS = 1000;
const MAX_GUIDANCE = 100;
const MAX_MEGABYTES = 1e6;
const PRECISIONS = ['f16', 'f32'] as const;

/** What was asked for, after the checks. */
interface Request {
  readonly image: string;
  readonly out: string;
  readonly files: readonly FileFormat[];
  readonly model: string;
  readonly device: string;
  readonly json: boolean;
  readonly load: Pick<LoadPipelineOptions, 'dtype' | 'memoryBudget'>;
  readonly run: ImageRunOptions;
}

function readRequest({ argument, values, switches }: ParsedArguments): Request {
  const given = <T>(name: string, parse: (option: string, text: string) => T): T | undefined => {
    const text = values[name];
    return text === undefined ? undefined : parse(name, text);
  };
  const files = given('formats', (name, text) => parseList(name, text, FILE_FORMATS));
  const chosen = files ?? FILE_FORMATS;
  const steps = given('steps', (name, text) =>
    parsePair(name, text, (option, part) => parseInteger(option, part, 1, MAX_STEPS)),
  );
  const guidance = given('guidance', (name, text) =>
    parsePair(name, text, (option, part) => parseNumber(option, part, 0, MAX_GUIDANCE)),
  );
  const seed = given('seed', (name, text) => parseInteger(name, text, 0, Number.MAX_SAFE_INTEGER));
  const samples = given('num-samples', (name, text) => parseInteger(name, text, 1, MAX_SAMPLES));
  const dtype = given('precision', (name, text) => parseName(name, text, PRECISIONS));
  const megabytes = given('memory-budget', (name, text) =>
    parseNumber(name, text, 0, MAX_MEGABYTES),
  );
  return {
    image: argument!,
    out: values['out'] ?? 'out',
    files: chosen,
    model: values['model'] ?? BUNDLED_MODEL,
    device: values['device'] ?? 'auto',
    json: switches.has('json'),
    load: { dtype, memoryBudget: megabytes === undefined ? undefined : megabytes * 1e6 },
    run: {
      formats: formatsToDecode(chosen),
      keepBackground: switches.has('keep-background'),
      ...(seed === undefined ? {} : { seed }),
      ...(samples === undefined ? {} : { numSamples: samples }),
      ...(steps === undefined ? {} : { steps }),
      ...(guidance === undefined ? {} : { guidance }),
    },
  };
}

/** What a run did, as `--json` prints it. */
interface Report {
  readonly image: string;
  readonly model: string;
  readonly device: string;
  readonly files: readonly WrittenFile[];
  /** Voxels of each sample. */
  readonly voxels: readonly number[];
  readonly stages: readonly StageTime[];
  readonly milliseconds: number;
  /** Most memory that tensors took on the device. */
  readonly peakBytes: number;
}

function printReport(report: Report, json: boolean, terminal: Terminal): void {
  if (json) {
    terminal.out.write(`${JSON.stringify(report, null, 2)}\n`);
    return;
  }
  const rows = report.files.map(({ path, bytes }) => [path, formatBytes(bytes)]);
  const voxels = report.voxels.map((count) => `${count} voxels`).join(', ');
  terminal.out.write(
    `${formatTable(rows)}${voxels} in ${formatDuration(report.milliseconds)} on ${report.device}, peak memory ${formatBytes(report.peakBytes)}\n`,
  );
}

/**
 * Runs the command. Files appear at its end, all or none.
 *
 * @throws PergolaError for anything the user can mend; the signal's reason when stopped.
 */
export async function generate(parsed: ParsedArguments, terminal: Terminal): Promise<void> {
  const request = readRequest(parsed);
  const { signal } = terminal;
  const started = performance.now();
  const display = new ProgressDisplay(request.json ? undefined : terminal.err);
  const image = await readImageFile(request.image);
  const folder = await OutputFolder.open(request.out);
  try {
    using device = await openDevice(request.device);
    using pipeline = await display.measure('Loading', () =>
      ImageTo3D.load(request.model, { ...request.load, device, signal }),
    );
    const assets = await pipeline.run(image, {
      ...request.run,
      signal,
      onProgress: display.update,
    });
    const files = await display.measure('Previews and files', async () => {
      const stem = basename(request.image, extname(request.image));
      const made = [];
      for (const [sample, asset] of assets.entries()) {
        const name = assets.length === 1 ? stem : `${stem}-${sample + 1}`;
        made.push(...(await assetFiles(asset, name, request.files)));
        signal.throwIfAborted();
      }
      return folder.write(made, signal);
    });
    const report: Report = {
      image: request.image,
      model: request.model,
      device: `${device.name} (${device.info.description})`,
      files,
      voxels: assets.map(({ voxels }) => voxels.coords.length / 3),
      stages: display.times,
      milliseconds: performance.now() - started,
      peakBytes: device.memory().peakBytes,
    };
    printReport(report, request.json, terminal);
  } catch (error) {
    display.clear();
    await folder.abandon();
    throw error;
  }
}
