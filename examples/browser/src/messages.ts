/** What the page and its worker say to each other. */
import type { Stage } from '@pergola/trellis';

/** Devices that a page can ask for. `auto` is WebGPU where there is an adapter, else the CPU. */
export const DEVICES = ['auto', 'webgpu', 'cpu'] as const;
export type DeviceChoice = (typeof DEVICES)[number];

/** One picture to turn into an object. */
export interface Job {
  readonly picture: Blob;
  /** URL of a model set. */
  readonly model: string;
  readonly device: DeviceChoice;
  readonly seed: number;
  /** Steps of both samplers; the model's own when absent. */
  readonly steps?: number | undefined;
  /** For pictures without a transparent background. */
  readonly keepBackground: boolean;
}

/** A finished object as files. */
export interface Result {
  readonly glb: Uint8Array<ArrayBuffer>;
  readonly ply: Uint8Array<ArrayBuffer>;
  readonly vertices: number;
  readonly faces: number;
  readonly gaussians: number;
  /** Time from the start of the run, loading not included. */
  readonly seconds: number;
}

/** Page to worker. */
export type Request =
  | { readonly kind: 'run'; readonly job: Job }
  /** Ends the run after its current step. */
  | { readonly kind: 'cancel' };

/** Worker to page. A run ends with one `done`, `failed` or `cancelled`. */
export type Reply =
  | { readonly kind: 'loading' }
  /** @property device what computes, for people. */
  | { readonly kind: 'running'; readonly device: string }
  | {
      readonly kind: 'progress';
      readonly stage: Stage;
      readonly step: number;
      readonly steps: number;
    }
  | { readonly kind: 'done'; readonly result: Result }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'cancelled' };
