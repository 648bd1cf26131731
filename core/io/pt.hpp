// PyTorch's files. A malformed one is refused with an IOError that names file, offset and reason.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/io/left_out.hpp>
#include <limpid/core/tensor_map.hpp>

namespace LIMPID_API limpid {

/// The tensors of a file that torch.save() wrote (PyTorch 1.6 and later, pickle protocols 2 to 5): of a state_dict(),
/// or of dicts and lists of these. {"model": {"fc.weight": t}, "steps": [u]} gives model.fc.weight and steps.0.
///
/// Nothing of the file is run, and no name in it is looked up. A pickle may hold plain data and tensors: a class or
/// function of another module than torch's own and the builtin types' is refused by name, and the file with it. Time
/// and memory stay near the size of the file, whatever it unpacks to. Sizes, strides and offsets are the file's:
/// tensors that shared memory when they were saved share it here, and transposed, channels-last and expanded ones are
/// views as they were. int8 and int16 become int32.
///
/// Plain data (numbers, text, and dicts, lists and sets of such) are passed over. A tensor that limpid cannot have, as
/// one of another dtype, is left out, and the logger warns of it; so is one without a name of its own: below a key that
/// is neither text nor a whole number, or under a name that is taken. A tensor that is malformed, as one beyond its
/// storage, is refused by name. Files of PyTorch's before 1.6, TorchScript's and whole modules are refused with the way
/// to convert them.
TensorMap load_pt(const std::string& path);
/// What can be read. left_out becomes the list of the tensors that cannot, with the reasons; it stays as it is where
/// the file itself is refused.
TensorMap load_pt(const std::string& path, LeftOut& left_out);
/// The one tensor of this name, whose data alone are read. Throws IOError where there is none, or says why it cannot
/// be read.
Tensor load_pt(const std::string& path, const std::string& name);

}  // namespace limpid
