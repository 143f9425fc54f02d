/** A context that plans launches without a device or an addon. */
import type { CudaContext } from '../src/kernel.ts';
import { loadAddon } from '../src/native.ts';

/** Launchers that plans asked for, in the order of the ids handed out. */
export interface StubContext {
  readonly context: CudaContext;
  readonly launchers: string[];
}

/** @param capability compute capability times ten of the device that is not there. */
export function stubContext(capability: number): StubContext {
  const launchers: string[] = [];
  const addon = {
    launcher(name: string): number {
      if (!launchers.includes(name)) launchers.push(name);
      return launchers.indexOf(name);
    },
  };
  const device = { info: () => ({ multiprocessors: 132 }) };
  // Planning reads nothing else of the addon and the device.
  const context = { addon, device, capability, tf32: false, productObstacle: '' };
  return { context: context as unknown as CudaContext, launchers };
}

/** The addon, or undefined after saying loudly that a test of it checks nothing. */
export function addonOrWarning(): ReturnType<typeof loadAddon> {
  const addon = loadAddon();
  if (addon === undefined) {
    console.warn(
      'backend-cuda: NO NATIVE ADDON was built (npx cmake-js compile needs nvcc); tests of the addon check NOTHING.',
    );
  }
  return addon;
}
