#pragma once

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace gradwire {

/// Memory for a result. The C library takes large pieces from the system each time, whose pages are
/// cleared at their first touch, which can cost more than the work on them: of the large results
/// that are given back, one, of at most 256 MiB, is kept for the next. Made and given back under
/// Python's GIL.
class ResultMemory {
 public:
  explicit ResultMemory(std::size_t room) {
    if (room >= kLarge && kept().size_ >= room) {
      swap(kept());
    } else {
      allocate(room);
    }
  }
  ResultMemory(const ResultMemory&) = delete;
  ResultMemory& operator=(const ResultMemory&) = delete;
  ~ResultMemory() {
    if (is_worth_keeping(size_) && size_ > kept().size_) swap(kept());
    std::free(data_);
  }

  std::uint8_t* data() const { return data_; }

  /// Gives back what is behind the first `size` bytes.
  void cut(std::size_t size) {
    if (is_worth_keeping(size_) && size >= kLarge) return forget_pages(size);
    if (void* const cut = std::realloc(data_, size)) {
      data_ = static_cast<std::uint8_t*>(cut);
      size_ = size;
    }
  }

 private:
  static constexpr std::size_t kLarge = std::size_t{32} << 20;
  static constexpr std::size_t kMostKept = std::size_t{256} << 20;
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;

  ResultMemory() = default;

  static ResultMemory& kept() {
    static auto* const own = new ResultMemory();  // for ever: arrays may outlive static objects
    return *own;
  }

  void swap(ResultMemory& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  void allocate(std::size_t room) {
#ifdef MADV_HUGEPAGE
    void* large = nullptr;
    if (room >= kLarge && posix_memalign(&large, kHugePage, room) == 0) {
      madvise(large, room, MADV_HUGEPAGE);  // advice only: a refusal changes nothing
      data_ = static_cast<std::uint8_t*>(large);
    }
#endif
    if (data_ == nullptr) data_ = static_cast<std::uint8_t*>(std::malloc(room));
    if (data_ == nullptr) throw std::bad_alloc();
    size_ = room;
  }

  static bool is_worth_keeping(std::size_t size) {
#ifdef MADV_HUGEPAGE
    return size >= kLarge && size <= kMostKept;
#else
    return false;
#endif
  }

  /// Those of the pages behind the first `size` bytes that have been touched.
  void forget_pages([[maybe_unused]] std::size_t size) {
#ifdef MADV_HUGEPAGE
    const std::size_t begin = (size + kHugePage - 1) / kHugePage * kHugePage;
    const std::size_t end = size_ / kHugePage * kHugePage;  // others' bytes may follow
    if (begin < end) madvise(data_ + begin, end - begin, MADV_DONTNEED);
#endif
  }

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace gradwire
