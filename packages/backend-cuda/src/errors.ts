/** Errors of the native addon as the house's classes. */
import {
  DeviceLostError,
  LifetimeError,
  OutOfMemoryError,
  PergolaError,
  UnsupportedOpError,
} from '@pergola/core';

/** Turns an error of the addon into the house's classes. */
export function translate(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code } = error as { code?: string };
  if (code === 'OUT_OF_MEMORY')
    return new OutOfMemoryError(`cuda: ${error.message}.`, { cause: error });
  if (code === 'UNSUPPORTED')
    return new UnsupportedOpError(`cuda: ${error.message}.`, { cause: error });
  if (code === 'DISPOSED') return new LifetimeError(`cuda: ${error.message}.`, { cause: error });
  if (code === 'LOST') return new DeviceLostError(`cuda: ${error.message}.`, { cause: error });
  if (code === 'CUDA') return new PergolaError(`cuda: ${error.message}.`, { cause: error });
  return error;
}

/** Calls the addon. @throws what `translate` makes of its errors. */
export function attempt<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw translate(error);
  }
}
