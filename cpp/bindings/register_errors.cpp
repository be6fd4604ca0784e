#include "gradwire/error.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace gradwire {

void register_errors(py::module_& module) {
  // pybind11 asks the translator registered last first: bases before what derives from them.
  const auto error = py::register_exception<Error>(module, "Error", PyExc_ValueError);
  const auto corrupt =
      py::register_exception<CorruptFrameError>(module, "CorruptFrameError", error);
  py::register_exception<TruncatedFrameError>(module, "TruncatedFrameError", corrupt);
  py::register_exception<UnsupportedFormatError>(module, "UnsupportedFormatError", error);
  py::register_exception<BufferTooSmallError>(module, "BufferTooSmallError", error);
}

}  // namespace gradwire
