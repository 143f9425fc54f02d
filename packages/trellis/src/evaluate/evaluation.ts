/** Runs the pipeline over examples and seeds, and measures what comes out. */
import type { Asset } from '../pipeline/asset.ts';
import type { ImageTo3D } from '../pipeline/image-to-3d.ts';
import type { Example } from './examples.ts';
import { meanScore, scoreVoxels, type VoxelScore } from './voxel-score.ts';

/** Scores of one example with one seed. */
export interface EvaluatedRun extends VoxelScore {
  readonly example: string;
  readonly seed: number;
  readonly voxels: number;
  readonly milliseconds: number;
}

/** All runs and their means. */
export interface Evaluation {
  readonly runs: readonly EvaluatedRun[];
  /** Over the seeds of each example. */
  readonly perExample: Readonly<Record<string, VoxelScore>>;
  readonly mean: VoxelScore;
}

/** Options of `evaluate`. */
export interface EvaluationOptions {
  readonly seeds: readonly number[];
  /** Told of each run as it ends. */
  readonly onRun?: (run: EvaluatedRun) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Scores the voxels of every example with every seed.
 *
 * @returns the scores, and per example the asset of the first seed, decoded in every format.
 */
export async function evaluate(
  pipeline: ImageTo3D,
  examples: readonly Example[],
  options: EvaluationOptions,
): Promise<{ readonly evaluation: Evaluation; readonly assets: ReadonlyMap<string, Asset> }> {
  const { seeds, onRun, signal } = options;
  const runs: EvaluatedRun[] = [];
  const assets = new Map<string, Asset>();
  for (const example of examples) {
    for (const [position, seed] of seeds.entries()) {
      const started = performance.now();
      // Only the assets of the first seed are looked at; of the others the voxels suffice.
      const rest = position === 0 ? {} : { formats: [] };
      const [asset] = await pipeline.run(example.image, { seed, signal, ...rest });
      if (position === 0) assets.set(example.id, asset!);
      const { coords, resolution } = asset!.voxels;
      const run: EvaluatedRun = {
        example: example.id,
        seed,
        voxels: coords.length / 3,
        milliseconds: performance.now() - started,
        ...scoreVoxels(coords, example.voxels.coords, resolution),
      };
      runs.push(run);
      onRun?.(run);
    }
  }
  const perExample = Object.fromEntries(
    examples.map(({ id }) => [id, meanScore(runs.filter((run) => run.example === id))] as const),
  );
  return { evaluation: { runs, perExample, mean: meanScore(runs) }, assets };
}
