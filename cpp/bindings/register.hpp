#pragma once

#include <pybind11/pybind11.h>

namespace gradwire {

void register_errors(pybind11::module_& module);
void register_frames(pybind11::module_& module);
void register_gradients(pybind11::module_& module);
void register_runtime(pybind11::module_& module);

}  // namespace gradwire
