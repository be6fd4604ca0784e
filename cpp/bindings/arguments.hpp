#pragma once

#include <pybind11/numpy.h>

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <vector>

namespace gradwire {

/// The bytes of any object with a contiguous buffer.
class Bytes {
 public:
  Bytes(const pybind11::object& object, bool writable) {
    const int flags = writable ? PyBUF_WRITABLE : PyBUF_SIMPLE;
    if (PyObject_GetBuffer(object.ptr(), &view_, flags) != 0) throw pybind11::error_already_set();
  }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes() { PyBuffer_Release(&view_); }

  std::span<std::uint8_t> span() const {
    return {static_cast<std::uint8_t*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

 private:
  Py_buffer view_;
};

/// The shape of a C-contiguous array. Throws ValueError if its items have another size.
inline std::vector<std::uint64_t> shape_of(const pybind11::array& array, std::size_t item_size) {
  if (!(array.flags() & pybind11::array::c_style) ||
      static_cast<std::size_t>(array.itemsize()) != item_size) {
    throw pybind11::value_error("the core takes C-contiguous arrays of a known dtype");
  }
  std::vector<std::uint64_t> shape;
  for (pybind11::ssize_t i = 0; i < array.ndim(); ++i) {
    shape.push_back(static_cast<std::uint64_t>(array.shape(i)));
  }
  return shape;
}

struct Free {
  void operator()(std::uint8_t* p) const { std::free(p); }
};

/// Memory for a result. The C library takes pieces as large as kLarge from the system each time,
/// and every first touch of a small page of them costs more than the work on it.
inline std::uint8_t* result_memory(std::size_t room) {
#ifdef MADV_HUGEPAGE
  constexpr std::size_t kLarge = std::size_t{32} << 20;
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  void* large = nullptr;
  if (room >= kLarge && posix_memalign(&large, kHugePage, room) == 0) {
    madvise(large, room, MADV_HUGEPAGE);  // advice only: a refusal changes nothing
    return static_cast<std::uint8_t*>(large);
  }
#endif
  return static_cast<std::uint8_t*>(std::malloc(room));
}

/// Calls write(bytes) without the GIL on memory that is then cut to the size it returns.
template <typename F>
pybind11::array_t<std::uint8_t> written_bytes(std::size_t room, const F& write) {
  std::unique_ptr<std::uint8_t, Free> memory(result_memory(room));
  if (!memory) throw std::bad_alloc();
  std::size_t size;
  {
    const pybind11::gil_scoped_release release;
    size = write(std::span<std::uint8_t>(memory.get(), room));
    if (void* cut = std::realloc(memory.get(), size)) {
      static_cast<void>(memory.release());
      memory.reset(static_cast<std::uint8_t*>(cut));
    }
  }
  std::uint8_t* const data = memory.release();
  const pybind11::capsule owner(data, [](void* p) { std::free(p); });
  return pybind11::array_t<std::uint8_t>(static_cast<pybind11::ssize_t>(size), data, owner);
}

/// An array that takes over a vector's memory.
template <typename T>
pybind11::array_t<T> as_array(std::vector<T>&& values) {
  auto* const kept = new std::vector<T>(std::move(values));
  const pybind11::capsule owner(kept, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return pybind11::array_t<T>(static_cast<pybind11::ssize_t>(kept->size()), kept->data(), owner);
}

}  // namespace gradwire
