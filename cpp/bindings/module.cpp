#include <pybind11/pybind11.h>

#include "register.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ core of gradwire.";
  gradwire::register_errors(module);
  gradwire::register_frames(module);
  gradwire::register_gradients(module);
  gradwire::register_runtime(module);
}
