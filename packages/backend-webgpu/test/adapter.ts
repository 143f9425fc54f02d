/** The device under test. Machines without a GPU use SwiftShader, the software Vulkan driver that Chromium brings. */
import type { Device } from '@pergola/core';
import { createWebGpuDevice, type WebGpuDeviceOptions } from '@pergola/backend-webgpu';

/** A device with validation and bounds checks on. Fails, rather than skips, where there is no adapter. */
export async function openDevice(options: WebGpuDeviceOptions = {}): Promise<Device> {
  return createWebGpuDevice({ development: true, ...options });
}
