/** One after another: runs on the same device must not overlap, since they share its scopes and its memory. */
import type { Device } from '@pergola/core';

const lastOf = new WeakMap<Device, Promise<unknown>>();

/** Runs `body` when everything queued earlier for this device has ended, well or badly. */
export async function inTurn<T>(device: Device, body: () => Promise<T>): Promise<T> {
  const before = lastOf.get(device);
  const run = (async () => {
    await before?.catch(() => undefined);
    return body();
  })();
  lastOf.set(device, run);
  return run;
}
