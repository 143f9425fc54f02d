#include "device.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "launcher.h"

namespace pergola {

namespace {
constexpr size_t kAlignment = 512;
// Small segments waste address space and driver calls; a tensor larger than this gets a segment of its own.
constexpr size_t kSegmentBytes = size_t{64} << 20;
constexpr size_t kStagingBytes = size_t{16} << 20;

size_t round_up(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }
}  // namespace

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorName(status) + " (" +
                           cudaGetErrorString(status) + ")");
}

OutOfMemory::OutOfMemory(size_t requested, size_t live, size_t pooled, size_t free_bytes, size_t total)
    : requested(requested), live(live), pooled(pooled), free_bytes(free_bytes), total(total) {
  text = "no room for " + std::to_string(requested) + " bytes (" + std::to_string(live) + " in tensors, " +
         std::to_string(pooled) + " pooled, " + std::to_string(free_bytes) + " of " + std::to_string(total) +
         " free on the device)";
}

Pool::~Pool() {
  for (const auto& [address, bytes] : segments_) cudaFree(reinterpret_cast<void*>(address));
}

void Pool::insert_free(uintptr_t address, size_t bytes) { free_.insert({bytes, address}); }
void Pool::erase_free(uintptr_t address, size_t bytes) { free_.erase({bytes, address}); }

void* Pool::allocate(size_t bytes) {
  const size_t needed = round_up(std::max<size_t>(bytes, 1), kAlignment);
  auto fit = free_.lower_bound({needed, 0});
  if (fit == free_.end()) {
    size_t segment = needed > kSegmentBytes ? needed : kSegmentBytes;
    void* memory = nullptr;
    cudaError_t status = cudaMalloc(&memory, segment);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      trim();
      segment = needed;
      status = cudaMalloc(&memory, segment);
    }
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      size_t free_bytes = 0, total = 0;
      cudaMemGetInfo(&free_bytes, &total);
      throw OutOfMemory(needed, live_, pooled_bytes(), free_bytes, total);
    }
    check(status, "cudaMalloc");
    const auto address = reinterpret_cast<uintptr_t>(memory);
    segments_[address] = segment;
    reserved_ += segment;
    blocks_[address] = {segment, false, address};
    insert_free(address, segment);
    fit = free_.find({segment, address});
  }
  const uintptr_t address = fit->second;
  free_.erase(fit);
  Block& block = blocks_[address];
  if (block.bytes > needed) {
    blocks_[address + needed] = {block.bytes - needed, false, block.segment};
    insert_free(address + needed, block.bytes - needed);
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
  auto next = std::next(at);
  if (next != blocks_.end() && !next->second.used && next->second.segment == at->second.segment) {
    erase_free(next->first, next->second.bytes);
    at->second.bytes += next->second.bytes;
    blocks_.erase(next);
  }
  if (at != blocks_.begin()) {
    auto before = std::prev(at);
    if (!before->second.used && before->second.segment == at->second.segment) {
      erase_free(before->first, before->second.bytes);
      before->second.bytes += at->second.bytes;
      blocks_.erase(at);
      at = before;
    }
  }
  insert_free(at->first, at->second.bytes);
  return true;
}

void Pool::trim() {
  for (auto segment = segments_.begin(); segment != segments_.end();) {
    auto block = blocks_.find(segment->first);
    if (block == blocks_.end() || block->second.used || block->second.bytes != segment->second) {
      ++segment;
      continue;
    }
    // cudaFree waits for the device, so work that still uses the block is done first.
    check(cudaFree(reinterpret_cast<void*>(segment->first)), "cudaFree");
    erase_free(block->first, block->second.bytes);
    blocks_.erase(block);
    reserved_ -= segment->second;
    segment = segments_.erase(segment);
  }
}

PinnedCopy::PinnedCopy(const void* source, size_t bytes) {
  check(cudaMallocHost(&host, bytes), "pinned memory");
  std::memcpy(host, source, bytes);
}

PinnedCopy::~PinnedCopy() { cudaFreeHost(host); }

Device::Device(int ordinal) : ordinal_(ordinal) {
  check(cudaSetDevice(ordinal), "cudaSetDevice");
  check(cudaGetDeviceProperties(&properties_, ordinal), "cudaGetDeviceProperties");
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate");
  for (Staging& slot : staging_) {
    check(cudaMallocHost(&slot.host, kStagingBytes), "cudaMallocHost");
    check(cudaEventCreateWithFlags(&slot.done, cudaEventDisableTiming), "cudaEventCreate");
  }
}

Device::~Device() {
  cudaSetDevice(ordinal_);
  cudaStreamSynchronize(stream_);
  for (auto& [id, graph] : graphs_) cudaGraphExecDestroy(graph.exec);
  graphs_.clear();
  for (Staging& slot : staging_) {
    cudaEventDestroy(slot.done);
    cudaFreeHost(slot.host);
  }
  if (workspace_ != nullptr) pool_.free(workspace_);
  cudaStreamDestroy(stream_);
}

void* Device::allocate(size_t bytes) {
  return capture_ != nullptr ? capture_->pool->allocate(bytes) : pool_.allocate(bytes);
}

void Device::free(void* address) {
  if (capture_ != nullptr && capture_->pool->free(address)) return;
  if (pool_.free(address)) return;
  for (auto& [id, graph] : graphs_) {
    if (graph.pool->free(address)) return;
  }
  for (auto pool = retired_.begin(); pool != retired_.end(); ++pool) {
    if (!(*pool)->free(address)) continue;
    // Its destructor's cudaFree waits for work that still uses the block.
    if ((*pool)->live_bytes() == 0) retired_.erase(pool);
    return;
  }
}

void Device::retire(std::unique_ptr<Pool> pool) {
  if (pool->live_bytes() > 0) retired_.push_back(std::move(pool));
}

size_t Device::pooled_bytes() const {
  size_t bytes = pool_.pooled_bytes();
  for (const auto& [id, graph] : graphs_) bytes += graph.pool->pooled_bytes();
  for (const auto& pool : retired_) bytes += pool->pooled_bytes();
  return bytes;
}

void Device::upload(void* target, const void* source, size_t bytes) {
  if (capturing()) {
    capture_->uploads.push_back(std::make_unique<PinnedCopy>(source, bytes));
    check(cudaMemcpyAsync(target, capture_->uploads.back()->host, bytes, cudaMemcpyHostToDevice, stream_), "upload");
    return;
  }
  auto* to = static_cast<uint8_t*>(target);
  const auto* from = static_cast<const uint8_t*>(source);
  for (size_t done = 0; done < bytes;) {
    Staging& slot = staging_[next_staging_];
    next_staging_ ^= 1;
    if (slot.busy) check(cudaEventSynchronize(slot.done), "upload");
    const size_t part = std::min(kStagingBytes, bytes - done);
    std::memcpy(slot.host, from + done, part);
    check(cudaMemcpyAsync(to + done, slot.host, part, cudaMemcpyHostToDevice, stream_), "upload");
    check(cudaEventRecord(slot.done, stream_), "upload");
    slot.busy = true;
    done += part;
  }
}

void Device::synchronize() { check(cudaStreamSynchronize(stream_), "synchronize"); }

void* Device::workspace(size_t bytes) {
  if (capture_ != nullptr) {
    // The block returns to the graph's own pool at once: later captured work is ordered behind this call.
    void* block = capture_->pool->allocate(bytes);
    capture_->pool->free(block);
    return block;
  }
  if (bytes > workspace_bytes_) {
    if (workspace_ != nullptr) pool_.free(workspace_);
    workspace_ = nullptr;
    workspace_bytes_ = 0;
    workspace_ = pool_.allocate(bytes);
    workspace_bytes_ = bytes;
  }
  return workspace_;
}

void Device::begin_capture() {
  if (capturing()) throw std::runtime_error("a step is already being captured");
  capture_ = std::make_unique<Graph>();
  capture_->pool = std::make_unique<Pool>();
  // Relaxed: the graph's pool calls cudaMalloc while the stream is in capture mode.
  const cudaError_t status = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed);
  if (status != cudaSuccess) {
    capture_.reset();
    check(status, "begin capture");
  }
}

int Device::end_capture() {
  if (!capturing()) throw std::runtime_error("no step is being captured");
  Graph entry = std::move(*capture_);
  capture_.reset();
  cudaGraph_t graph = nullptr;
  cudaError_t status = cudaStreamEndCapture(stream_, &graph);
  if (status == cudaSuccess) status = cudaGraphInstantiate(&entry.exec, graph, 0);
  if (status == cudaSuccess) status = cudaGraphGetNodes(graph, nullptr, &entry.nodes);
  if (graph != nullptr) cudaGraphDestroy(graph);
  if (status != cudaSuccess) {
    retire(std::move(entry.pool));
    check(status, "end capture");
  }
  const int id = next_graph_++;
  graphs_.emplace(id, std::move(entry));
  return id;
}

void Device::abort_capture() {
  if (!capturing()) return;
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(stream_, &graph);
  if (graph != nullptr) cudaGraphDestroy(graph);
  cudaGetLastError();
  retire(std::move(capture_->pool));
  capture_.reset();
}

void Device::launch_graph(int id) {
  const auto at = graphs_.find(id);
  if (at == graphs_.end()) throw std::runtime_error("this recorded step was disposed");
  check(cudaGraphLaunch(at->second.exec, stream_), "replay");
}

size_t Device::graph_nodes(int id) const {
  const auto at = graphs_.find(id);
  return at == graphs_.end() ? 0 : at->second.nodes;
}

void Device::destroy_graph(int id) {
  const auto at = graphs_.find(id);
  if (at == graphs_.end()) return;
  check(cudaStreamSynchronize(stream_), "destroy graph");
  cudaGraphExecDestroy(at->second.exec);
  retire(std::move(at->second.pool));
  graphs_.erase(at);
}

}  // namespace pergola
