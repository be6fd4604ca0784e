#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "result_memory.hpp"

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

/// The shape of an array. Throws ValueError unless it is C-contiguous and has this item size.
inline std::vector<std::uint64_t> shape_of(const pybind11::array& array, std::size_t item_size) {
  if (!(array.flags() & pybind11::array::c_style) ||
      static_cast<std::size_t>(array.itemsize()) != item_size) {
    throw pybind11::value_error("array must be C-contiguous, with items of the size of its dtype");
  }
  std::vector<std::uint64_t> shape;
  for (pybind11::ssize_t i = 0; i < array.ndim(); ++i) {
    shape.push_back(static_cast<std::uint64_t>(array.shape(i)));
  }
  return shape;
}

/// Calls write(memory of `room` bytes) without the GIL. Returns the first bytes of this memory, as
/// many as write() returns.
template <typename F>
pybind11::array_t<std::uint8_t> written_bytes(std::size_t room, const F& write) {
  auto memory = std::make_unique<ResultMemory>(room);
  std::size_t size;
  {
    const pybind11::gil_scoped_release release;
    size = write(std::span<std::uint8_t>(memory->data(), room));
    memory->cut(size);
  }
  ResultMemory* const kept = memory.release();
  const pybind11::capsule owner(kept, [](void* p) { delete static_cast<ResultMemory*>(p); });
  return pybind11::array_t<std::uint8_t>(static_cast<pybind11::ssize_t>(size), kept->data(), owner);
}

/// An array that takes over the memory of a vector.
template <typename T>
pybind11::array_t<T> as_array(std::vector<T>&& values) {
  auto* const kept = new std::vector<T>(std::move(values));
  const pybind11::capsule owner(kept, [](void* p) { delete static_cast<std::vector<T>*>(p); });
  return pybind11::array_t<T>(static_cast<pybind11::ssize_t>(kept->size()), kept->data(), owner);
}

}  // namespace gradwire
