#include "pool.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <iterator>

#include "errors.h"

namespace pergola {

namespace {
constexpr size_t kAlignment = 512;
// Kernels may fill the last word of a tensor of small elements.
constexpr size_t kWord = 4;
// Small segments waste address space and driver calls; a tensor larger than this gets a segment of its own.
constexpr size_t kSegmentBytes = size_t{64} << 20;
// Smaller tensors stay out of the segments of large ones, which could not be given back or reused whole otherwise.
constexpr size_t kSmallBytes = size_t{4} << 20;

size_t round_up(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }

// Large segments come in steps of at most an eighth: tensors whose sizes vary from run to run share them.
size_t segment_bytes(size_t needed) {
  if (needed <= kSegmentBytes) return kSegmentBytes;
  size_t step = kSegmentBytes / 8;
  while (step * 16 <= needed) step *= 2;
  return round_up(needed, step);
}

std::string describe(size_t requested, size_t live, size_t pooled) {
  size_t free_bytes = 0, total = 0;
  cudaMemGetInfo(&free_bytes, &total);
  cudaGetLastError();
  return "no room for " + std::to_string(requested) + " bytes (" + std::to_string(live) + " in tensors, " +
         std::to_string(pooled) + " pooled, " + std::to_string(free_bytes) + " of " + std::to_string(total) +
         " free on the device)";
}
}  // namespace

Pool::~Pool() {
  // cudaFree waits for the device, so work that still uses a segment is done first.
  for (const auto& [address, bytes] : segments_) cudaFree(reinterpret_cast<void*>(address));
  cudaGetLastError();
}

bool Pool::is_large(uintptr_t segment) const { return segments_.at(segment) > kSegmentBytes; }

std::set<Pool::FreeBlock>::iterator Pool::best_fit(bool large, size_t needed) {
  const auto fit = free_.lower_bound({large, needed, 0});
  return fit != free_.end() && std::get<0>(*fit) == large ? fit : free_.end();
}

std::set<Pool::FreeBlock>::iterator Pool::find_room(size_t needed) {
  const auto fit = best_fit(false, needed);
  if (fit != free_.end() || needed < kSmallBytes) return fit;
  return best_fit(true, needed);
}

bool Pool::grow(size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return false;
  }
  check(status, "cudaMalloc");
  const auto address = reinterpret_cast<uintptr_t>(memory);
  segments_[address] = bytes;
  reserved_ += bytes;
  const Block block{bytes, false, address};
  blocks_[address] = block;
  free_.insert(key(address, block));
  return true;
}

void* Pool::allocate(size_t bytes) {
  const size_t needed = round_up(std::max<size_t>(bytes, 1), exact_ ? kWord : kAlignment);
  auto fit = find_room(needed);
  if (fit == free_.end()) {
    const size_t wanted = exact_ ? needed : segment_bytes(needed);
    if (!grow(wanted)) {
      trim();
      if (relief_ != nullptr) relief_->trim();
      if (!grow(wanted)) grow(needed);
    }
    fit = find_room(needed);
    // The last resort of a small tensor is the free part of a large segment.
    if (fit == free_.end()) fit = best_fit(true, needed);
    if (fit == free_.end()) throw OutOfMemory(describe(needed, live_, pooled_bytes()));
  }
  const uintptr_t address = std::get<2>(*fit);
  free_.erase(fit);
  Block& block = blocks_[address];
  if (block.bytes > needed) {
    const Block rest{block.bytes - needed, false, block.segment};
    blocks_[address + needed] = rest;
    free_.insert(key(address + needed, rest));
    block.bytes = needed;
  }
  block.used = true;
  live_ += needed;
  return reinterpret_cast<void*>(address);
}

bool Pool::free(void* pointer) {
  auto at = blocks_.find(reinterpret_cast<uintptr_t>(pointer));
  if (at == blocks_.end() || !at->second.used) return false;
  at->second.used = false;
  live_ -= at->second.bytes;
  const auto next = std::next(at);
  if (next != blocks_.end() && !next->second.used && next->second.segment == at->second.segment) {
    free_.erase(key(next->first, next->second));
    at->second.bytes += next->second.bytes;
    blocks_.erase(next);
  }
  if (at != blocks_.begin()) {
    const auto before = std::prev(at);
    if (!before->second.used && before->second.segment == at->second.segment) {
      free_.erase(key(before->first, before->second));
      before->second.bytes += at->second.bytes;
      blocks_.erase(at);
      at = before;
    }
  }
  free_.insert(key(at->first, at->second));
  // The memory of a captured step stays where the step will look for it.
  if (exact_ && relief_ == nullptr) trim();
  return true;
}

void Pool::trim() {
  for (auto segment = segments_.begin(); segment != segments_.end();) {
    const auto block = blocks_.find(segment->first);
    if (block->second.used || block->second.bytes != segment->second) {
      ++segment;
      continue;
    }
    // cudaFree waits for the device, so work that still uses the block is done first.
    const cudaError_t status = cudaFree(reinterpret_cast<void*>(segment->first));
    if (status == cudaErrorStreamCaptureUnsupported) {
      // Out of memory while a step is captured, on a driver that frees nothing then: the caller says so.
      cudaGetLastError();
      return;
    }
    check(status, "cudaFree");
    free_.erase(key(block->first, block->second));
    blocks_.erase(block);
    reserved_ -= segment->second;
    segment = segments_.erase(segment);
  }
}

}  // namespace pergola
