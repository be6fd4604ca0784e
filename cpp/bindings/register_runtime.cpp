#include "gradwire/codec.hpp"
#include "gradwire/runtime.hpp"
#include "register.hpp"

namespace py = pybind11;

namespace gradwire {

void register_runtime(py::module_& module) {
  module.def("version", &version);
  module.def("has_openmp", &has_openmp);
  module.def("isa", &isa);
  module.def("available_isas", [] {
    py::list names;
    for (const auto name : available_isas()) names.append(name);
    return names;
  });
  module.def("kernel_isas", [] {
    py::dict isas;
    for (const auto& [name, isa] : kernel_isas()) isas[py::str(name)] = py::str(isa);
    return isas;
  });
  module.def("set_threads", &set_threads, py::arg("n"));
  module.def("get_threads", &get_threads);
  module.def("codecs", [] {
    py::list rows;
    for (const CodecInfo& info : codecs()) {
      rows.append(py::make_tuple(static_cast<int>(info.id), info.key, info.class_name));
    }
    return rows;
  });
}

}  // namespace gradwire
