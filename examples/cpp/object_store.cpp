// Objects in host memory: one arena in huge pages if the machine has any, objects placed in it by an
// offset allocator, stored and read by several threads.
//
// c++ -std=c++17 object_store.cpp -I dist/include -L dist/lib -lmc_alloc -pthread

#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <mc_alloc.hpp>

class ObjectStore {
 public:
  /// Maps `bytes` of memory; is_ready() says whether that worked.
  explicit ObjectStore(std::size_t bytes) {
    if (!arena_.initialize(bytes)) return;
    const auto base = reinterpret_cast<std::uintptr_t>(arena_.getPoolBase());
    allocator_ = mc::OffsetAllocator::create(base, arena_.getPoolSize());
  }

  bool is_ready() const { return allocator_ != nullptr; }

  /// Stores a copy under a key; evicts the oldest objects while there is no room.
  bool put(const std::string &key, const std::string &value) {
    auto place = allocator_->allocate(value.size());
    while (!place) {
      if (!evict_oldest()) return false;
      place = allocator_->allocate(value.size());
    }
    std::memcpy(place->ptr(), value.data(), value.size());
    const std::lock_guard<std::mutex> lock(mutex_);
    order_.push_back(key);
    objects_[key] = std::move(*place);
    return true;
  }

  /// Returns the value of a key, or an empty text.
  std::string get(const std::string &key) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = objects_.find(key);
    if (found == objects_.end()) return {};
    return {static_cast<const char *>(found->second.ptr()), found->second.size()};
  }

  mc::OffsetAllocatorMetrics metrics() const { return allocator_->get_metrics(); }

 private:
  bool evict_oldest() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (oldest_ == order_.size()) return false;
    objects_.erase(order_[oldest_++]);
    return true;
  }

  // The memory goes last.
  mc::MmapArena arena_;
  std::shared_ptr<mc::OffsetAllocator> allocator_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, mc::OffsetAllocationHandle> objects_;
  std::vector<std::string> order_;
  std::size_t oldest_ = 0;
};

int main() {
  ObjectStore store(std::size_t{16} << 20);
  if (!store.is_ready()) {
    std::cerr << mc::last_error() << "\n";
    return 1;
  }
  std::vector<std::thread> threads;
  for (int number = 0; number < 2; ++number) {
    threads.emplace_back([&store, number] {
      for (int at = 0; at < 1000; ++at) {
        const std::string key = std::to_string(number) + "/" + std::to_string(at);
        const std::string value(static_cast<std::size_t>(20'000 + at), static_cast<char>('a' + number));
        if (!store.put(key, value)) std::abort();
        const std::string read = store.get(key);
        if (!read.empty() && read != value) std::abort();
      }
    });
  }
  for (auto &thread : threads) thread.join();
  std::cout << store.metrics() << "\n";
}
