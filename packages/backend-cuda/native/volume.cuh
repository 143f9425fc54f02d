// Images and volumes alike: an image is a volume one voxel deep.
#pragma once

#include <cstdint>

namespace pergola {

// Extents of the spatial axes and strides of all axes, in elements, of [B, C, ...] or [B, ..., C].
struct Volume {
  int32_t batch, channel;
  int32_t extents[3];
  int32_t strides[3];
};

// Indices of an element of a tensor [batch, channels, x, y, z] or [batch, x, y, z, channels] by its position.
struct VolumeIndex {
  uint32_t batch, channel, x, y, z;
};

__device__ __forceinline__ VolumeIndex volume_index(uint32_t i, const int32_t (&extents)[3], uint32_t channels,
                                                    bool channels_last) {
  VolumeIndex at;
  if (channels_last) {
    at.channel = i % channels;
    i /= channels;
  }
  at.z = i % extents[2];
  i /= extents[2];
  at.y = i % extents[1];
  i /= extents[1];
  at.x = i % extents[0];
  i /= extents[0];
  if (!channels_last) {
    at.channel = i % channels;
    i /= channels;
  }
  at.batch = i;
  return at;
}

}  // namespace pergola
