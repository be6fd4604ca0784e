#include "gradwire/error.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace gradwire {

void register_errors(py::module_& module) {
  // pybind11 asks the translator registered last first: bases before what derives from them.
  auto error = py::register_exception<Error>(module, "Error", PyExc_ValueError);
  error.doc() = "Base of every error about a frame or a buffer.";
  auto corrupt = py::register_exception<CorruptFrameError>(module, "CorruptFrameError", error);
  corrupt.doc() = "The bytes are not a frame, or were changed on their way.";
  auto truncated =
      py::register_exception<TruncatedFrameError>(module, "TruncatedFrameError", corrupt);
  truncated.doc() = "The bytes end before the frame does.";
  auto unsupported =
      py::register_exception<UnsupportedFormatError>(module, "UnsupportedFormatError", error);
  unsupported.doc() = "A version, codec, layout or dtype that this build does not know.";
  auto missing =
      py::register_exception<MissingCodeBookError>(module, "MissingCodeBookError", error);
  missing.doc() = "The frame names a shared code book that this process has not.";
  auto too_small =
      py::register_exception<BufferTooSmallError>(module, "BufferTooSmallError", error);
  too_small.doc() = "The caller's buffer cannot hold the result.";
}

}  // namespace gradwire
