/**
 * Where everything is computed: the page stays responsive, and the CPU backend may wait for its threads, which browsers
 * allow in workers alone. Device and model stay loaded for the next picture.
 */
import { createWebGpuDevice } from '@pergola/backend-webgpu';
import { createCpuDevice, InputError, type Device } from '@pergola/core';
import { decodeImage, ImageTo3D, writeGaussianPly, writeGlb } from '@pergola/trellis';
import type { DeviceChoice, Job, Reply, Request, Result } from './messages.ts';

/** The two calls of a worker's global scope that this file makes; the types of a page know others. */
interface WorkerScope {
  postMessage(reply: Reply, transfer: Transferable[]): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<Request>) => void): void;
}

/** A device with a model on it. */
interface Loaded {
  readonly key: string;
  readonly device: Device;
  readonly pipeline: ImageTo3D;
}

const scope = globalThis as unknown as WorkerScope;
let loaded: Loaded | undefined;
let controller = new AbortController();

function reply(message: Reply, transfer: Transferable[] = []): void {
  scope.postMessage(message, transfer);
}

/**
 * `auto` falls back to the CPU where there is no adapter, or only one in software, which is slower than the CPU backend.
 * Faults of a GPU that is there are shown.
 */
async function openDevice(choice: DeviceChoice): Promise<Device> {
  if (choice === 'cpu') return createCpuDevice();
  if (choice === 'webgpu') return createWebGpuDevice();
  const { gpu } = navigator as { gpu?: GPU };
  const adapter = (await gpu?.requestAdapter()) ?? null;
  const usable = adapter !== null && !adapter.info.isFallbackAdapter;
  return usable ? createWebGpuDevice() : createCpuDevice();
}

function unload(): void {
  loaded?.pipeline.dispose();
  loaded?.device.dispose();
  loaded = undefined;
}

async function load({ model, device: choice }: Job, signal: AbortSignal): Promise<Loaded> {
  const key = JSON.stringify([model, choice]);
  if (loaded?.key === key) return loaded;
  unload();
  const device = await openDevice(choice);
  try {
    const pipeline = await ImageTo3D.load(model, { device, signal });
    return (loaded = { key, device, pipeline });
  } catch (error) {
    device.dispose();
    throw error;
  }
}

async function generate(job: Job, signal: AbortSignal): Promise<Result> {
  const picture = await decodeImage(new Uint8Array(await job.picture.arrayBuffer()));
  reply({ kind: 'loading' });
  const { device, pipeline } = await load(job, signal);
  reply({ kind: 'running', device: `${device.name}: ${device.info.description}` });
  const started = performance.now();
  const [asset] = await pipeline.run(picture, {
    seed: job.seed,
    keepBackground: job.keepBackground,
    formats: ['gaussians', 'mesh'],
    signal,
    onProgress: ({ stage, step, steps }) => reply({ kind: 'progress', stage, step, steps }),
    ...(job.steps === undefined ? {} : { steps: job.steps }),
  });
  const seconds = (performance.now() - started) / 1000;
  const { mesh, gaussians } = asset!;
  return {
    glb: new Uint8Array(await writeGlb(mesh!)),
    ply: new Uint8Array(writeGaussianPly(gaussians!)),
    vertices: mesh!.vertices.length / 3,
    faces: mesh!.faces.length / 3,
    gaussians: gaussians!.count,
    seconds,
  };
}

async function run(job: Job): Promise<void> {
  controller = new AbortController();
  const { signal } = controller;
  try {
    const result = await generate(job, signal);
    reply({ kind: 'done', result }, [result.glb.buffer, result.ply.buffer]);
  } catch (error) {
    if (signal.aborted) reply({ kind: 'cancelled' });
    else {
      // A device that failed may be lost for good; the next run opens a new one.
      if (!(error instanceof InputError)) unload();
      const message = error instanceof Error ? error.message : String(error);
      reply({ kind: 'failed', message });
    }
  }
}

scope.addEventListener('message', ({ data }) => {
  if (data.kind === 'run') void run(data.job);
  else controller.abort();
});
