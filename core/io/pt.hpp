// PyTorch's files. A malformed one is refused with an IOError that names file, offset and reason.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/io/left_out.hpp>
#include <limpid/core/tensor_map.hpp>

namespace LIMPID_API limpid {

/// The tensors of a file that torch.save() wrote (PyTorch 1.6 and later, pickle protocols 2 to 5): of a state_dict(),
/// or of dicts and lists of these. {"model": {"fc.weight": t}, "steps": [u]} gives model.fc.weight and steps.0.
///
/// Nothing of the file is run. A pickle may hold plain data and tensors: any other class or function that it names is
/// refused by name. Sizes, strides and offsets are the file's: tensors that shared memory when they were saved share it
/// here, and transposed, channels-last and expanded ones are views as they were. int8 and int16 become int32.
///
/// What is no tensor here (numbers, text, tensors of other dtypes) is left out, and the logger warns of it. A tensor
/// that is malformed, as one beyond its storage, is refused by name. Files of PyTorch's before 1.6, TorchScript's and
/// whole modules are refused with the way to convert them.
TensorMap load_pt(const std::string& path);
/// What can be read. left_out becomes the list of what cannot, with the reasons; it stays as it is where the file
/// itself is refused.
TensorMap load_pt(const std::string& path, LeftOut& left_out);
/// The one tensor of this name, whose data alone are read. Throws IOError where there is none, or says why it cannot
/// be read.
Tensor load_pt(const std::string& path, const std::string& name);

}  // namespace limpid
