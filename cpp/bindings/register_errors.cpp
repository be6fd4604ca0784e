#include "gradwire/error.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace gradwire {

void register_errors(py::module_& module) {
  // pybind11 tries the translator that was registered last first, so base classes are registered
  // before the classes derived from them.
  auto error = py::register_exception<Error>(module, "Error", PyExc_ValueError);
  error.doc() = "Base of all errors about a frame or a buffer.";
  auto corrupt = py::register_exception<CorruptFrameError>(module, "CorruptFrameError", error);
  corrupt.doc() = "The bytes are not a frame, or were altered in transit.";
  auto truncated =
      py::register_exception<TruncatedFrameError>(module, "TruncatedFrameError", corrupt);
  truncated.doc() = "The bytes end before the frame does.";
  auto unsupported =
      py::register_exception<UnsupportedFormatError>(module, "UnsupportedFormatError", error);
  unsupported.doc() =
      "The frame has a version, codec, layout or dtype that this build does not know.";
  auto missing =
      py::register_exception<MissingCodeBookError>(module, "MissingCodeBookError", error);
  missing.doc() = "The frame needs a shared code book that is not loaded in this process.";
  auto too_small =
      py::register_exception<BufferTooSmallError>(module, "BufferTooSmallError", error);
  too_small.doc() = "The caller's buffer is too small for the result.";
}

}  // namespace gradwire
