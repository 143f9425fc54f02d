/** Opens the WebGPU device of the built package if there is one, and says that it is done. */
import { createDevice } from '@pergola/backend-webgpu';

const device = await createDevice().catch((error) => {
  if (error.name !== 'InputError') throw error;
});
device?.dispose();
console.log('searched');
