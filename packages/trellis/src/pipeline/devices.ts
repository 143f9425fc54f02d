/**
 * Picks the device that a pipeline runs on. The one place that knows the names of backend packages: the CPU comes with
 * core, the others are optional and loaded by name when they are asked for.
 */
import { createCpuDevice, InputError, type Device } from '@pergola/core';

/** What a backend package exports. */
export interface BackendModule {
  /** Opens the device that the backend would choose. @throws when there is none. */
  createDevice(): Promise<Device>;
}

/** A device that was found, or why it was not. */
export type DeviceFinding =
  | { readonly name: string; readonly device: Device }
  | { readonly name: string; readonly reason: string };

interface Candidate {
  readonly name: string;
  readonly open: () => Promise<Device>;
}

const CPU: Candidate = { name: 'cpu', open: createCpuDevice };

/** Loads a package that may not be installed. */
async function importBackend(name: string, packageName: string): Promise<BackendModule> {
  try {
    return (await import(/* @vite-ignore */ packageName)) as BackendModule;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_MODULE_NOT_FOUND' && message.includes(packageName)) {
      throw new InputError(`device ${name}: the package ${packageName} is not installed.`, {
        cause: error,
      });
    }
    throw error;
  }
}

function optional(name: string): Candidate {
  const packageName = `@pergola/backend-${name}`;
  return { name, open: async () => (await importBackend(name, packageName)).createDevice() };
}

/** Every backend there can be, the fastest first. */
const CANDIDATES: readonly Candidate[] = [optional('cuda'), optional('webgpu'), CPU];

/** Names that `openDevice` takes. */
export const DEVICE_NAMES: readonly string[] = ['auto', ...CANDIDATES.map(({ name }) => name)];

function findCandidate(name: string): Candidate {
  const candidate = CANDIDATES.find((entry) => entry.name === name);
  if (candidate !== undefined) return candidate;
  throw new InputError(`device: must be one of ${DEVICE_NAMES.join(', ')}, got ${name}.`);
}

/**
 * Opens a device.
 *
 * @param name `auto` takes the first of cuda, webgpu (on real hardware) and cpu that opens.
 * @throws InputError for an unknown name, or when the named backend's package is not installed.
 */
export async function openDevice(name = 'auto'): Promise<Device> {
  if (name === 'auto') {
    for (const candidate of CANDIDATES) {
      if (candidate === CPU) break;
      const device = await candidate.open().catch(() => undefined);
      if (device === undefined) continue;
      // A GPU interface emulated on the processor is far slower than the CPU backend.
      if (!device.info.features.includes('software')) return device;
      device.dispose();
    }
    return CPU.open();
  }
  return findCandidate(name).open();
}

/**
 * Tries to open every backend, or only the one named. The devices found are open: dispose them.
 *
 * @throws InputError for an unknown name.
 */
export async function findDevices(name?: string): Promise<DeviceFinding[]> {
  const findings: DeviceFinding[] = [];
  for (const candidate of name === undefined ? CANDIDATES : [findCandidate(name)]) {
    try {
      findings.push({ name: candidate.name, device: await candidate.open() });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      findings.push({ name: candidate.name, reason });
    }
  }
  return findings;
}
