/** The native addon: how it is found, and the types of its surface. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One opened device of the addon. Addresses are plain numbers (device addresses stay below 2^53). */
export interface NativeDevice {
  allocate(bytes: number): number;
  free(address: number): void;
  upload(address: number, source: Uint8Array): void;
  /** Resolves when everything enqueued so far is done; zero bytes only waits. */
  download(address: number, bytes: number): Promise<Uint8Array<ArrayBuffer>>;
  launch(launcher: number, addresses: Float64Array, params: Uint8Array): void;
  pooledBytes(): number;
  trim(): void;
  /** Work enqueued from now on is captured, not run. */
  beginCapture(): void;
  /** The captured graph. */
  endCapture(): number;
  abortCapture(): void;
  launchGraph(graph: number): void;
  /** Launches and copies of one replay. */
  graphNodes(graph: number): number;
  destroyGraph(graph: number): void;
  /** Records timing event 0 or 1 on the stream. */
  markTime(slot: 0 | 1): void;
  /** Milliseconds of device time between the two events. Waits for both. */
  elapsedMs(): number;
  info(): NativeDeviceInfo;
  dispose(): void;
}

/** What the driver says of a device. */
export interface NativeDeviceInfo {
  readonly name: string;
  readonly major: number;
  readonly minor: number;
  readonly multiprocessors: number;
  readonly totalBytes: number;
}

/** The addon's exports. */
export interface NativeAddon {
  readonly NativeDevice: new (ordinal: number, development: boolean) => NativeDevice;
  /** Devices the driver offers, or 0 with the driver's reason. */
  probe(): { readonly count: number; readonly reason: string };
  /** Why cuBLASLt cannot be used, or an empty text; looks for it. */
  products(): string;
  /** Id of a launcher, or -1. */
  launcher(name: string): number;
}

// Own builds go first, so that a local compile replaces the shipped binary.
const CANDIDATES = [
  '../build/Release/pergola_cuda.node',
  `../prebuilds/${process.platform}-${process.arch}/pergola_cuda.node`,
];

let loaded: NativeAddon | undefined;

/**
 * Path of the addon that would be loaded, or undefined when none was built or shipped for this platform. The
 * environment variable PERGOLA_CUDA_ADDON names another file.
 */
export function addonPath(): string | undefined {
  const given = process.env['PERGOLA_CUDA_ADDON'];
  if (given !== undefined) return resolve(given);
  return CANDIDATES.map((path) => fileURLToPath(new URL(path, import.meta.url))).find(existsSync);
}

/** The addon, loaded once; undefined when there is none for this platform. */
export function loadAddon(): NativeAddon | undefined {
  if (loaded !== undefined) return loaded;
  const path = addonPath();
  if (path === undefined) return undefined;
  loaded = createRequire(import.meta.url)(path) as NativeAddon;
  return loaded;
}
