/** Uses a device of the built package and ends without further ado; run as `node exit.fixture.mjs dispose|forget`. */
import { relu } from '@pergola/core';
import { createWebGpuDevice } from '@pergola/backend-webgpu';

const device = await createWebGpuDevice();
console.log([...(await relu(device.tensor([-1, 2], [2])).floats())]);
if (process.argv[2] === 'dispose') device.dispose();
