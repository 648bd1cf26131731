// A zip archive of stored members: NAME/data.pkl, a pickle in which storages stand for NAME/data/KEY, their bytes.
#include <limpid/core/io/pt.hpp>

#include <limpid/core/detail/array.hpp>
#include <limpid/core/io/detail/entries.hpp>
#include <limpid/core/io/detail/pickle.hpp>
#include <limpid/core/io/detail/zip.hpp>

#include <algorithm>
#include <exception>
#include <map>
#include <string>

namespace limpid {

using namespace detail;

namespace {

using Kind = Pickle::Kind;
using Role = Pickle::Role;
using Value = Pickle::Value;

constexpr const char* pt_op = "load_pt";
constexpr std::size_t deepest = 64;
constexpr std::size_t entry_cost = 256;  // of a name, beside its characters

class Reader {
 public:
  explicit Reader(const std::string& path) : file_(pt_op, path), members_(read_archive()), pickle_(read_pickle()) {}

  /// Adds all that is or holds a tensor, in the order of the file, without recursion.
  void read_all(Entries& entries) {
    if (!pickle_.root().is(Kind::dict))
      fail("expected a dict of tensors, got ", pickle_.describe(pickle_.root()),
           ": in Python, torch.save({'name': tensor}, path)");
    struct Open {
      Value node;
      std::size_t next, prefix;  // the item to come, and how much of the name belongs to the node
    };
    std::vector<Open> open{{pickle_.root(), 0, 0}};
    std::string name;
    // Dicts may be shared, and so a small file could name very many tensors: as many as it has room for are enough.
    uint64_t budget = (1 << 22) + 8 * file_.size();
    const auto spend = [&](uint64_t cost) {
      if (budget < cost) fail("expected no more names than a file of ", file_.size(), " bytes has room for, got more");
      budget -= cost;
    };
    while (!open.empty()) {
      Open& top = open.back();
      const std::vector<Value>& items = pickle_.items(top.node);
      if (top.next == items.size()) {
        open.pop_back();
        continue;
      }
      spend(1);
      Value key;
      if (top.node.is(Kind::dict))
        key = items[top.next++];
      else
        key.kind = Kind::integer, key.integer = static_cast<int64_t>(top.next);
      const Value value = items[top.next++];
      if (!pickle_.holds_tensors(value)) continue;

      name.resize(top.prefix);
      if (open.size() > 1) name += '.';
      const bool has_name = key.is(Kind::text) || key.is(Kind::integer);
      if (key.is(Kind::text))
        name += key.text();
      else
        name += has_name ? message(key.integer) : '<' + pickle_.describe(key) + '>';
      spend(entry_cost + name.size());
      const bool nests = value.is(Kind::dict) || value.is(Kind::list) || value.is(Kind::tuple);
      const auto leave_out = [&](const auto&... reason) {
        const std::string text = message(file_.name(), ": ", in_quotes(name), ": expected ", reason...);
        entries.add(name, [&]() -> Tensor { throw NotOurs(text); });
      };
      if (!has_name)
        leave_out("keys of text or whole numbers, got ", pickle_.describe(key));
      else if (nests && std::ranges::any_of(open, [&](const Open& o) { return o.node.node == value.node; }))
        leave_out("a tensor, got ", pickle_.describe(value), " that holds itself");
      else if (nests && open.size() == deepest)
        leave_out("dicts and lists at most ", deepest, " deep, got more");
      else if (nests)
        open.push_back({value, 0, name.size()});
      else if (entries.contains(name))
        leave_out("names that differ, got this one twice");
      else
        entries.add(name, [&] { return read(name, value); });
    }
  }

 private:
  using Members = std::map<std::string, ZipMember, std::less<>>;

  struct Storage {
    FileType type;
    int64_t count;
    Tensor elements;
  };

  Members read_archive() {
    char start[2] = {};
    file_.read_at(0, start, std::min<uint64_t>(file_.size(), sizeof start));
    if (start[0] != 'P' || start[1] != 'K')
      file_.fail_at(0, "expected a zip archive that torch.save() wrote, got other bytes", first_bytes(file_));
    const std::vector<ZipMember> all = read_zip_directory(file_);
    const auto pickle =
        std::find_if(all.begin(), all.end(), [](const ZipMember& m) { return is_pickle_of_torch(m.name); });
    if (pickle == all.end())
      file_.fail_at(0, "expected a file that torch.save() wrote, with NAME/data.pkl, got ",
                    holds(all, is_array) ? "NumPy's .npz: load_npz reads it" : "another zip archive");
    const std::string root = pickle->name.substr(0, pickle->name.find('/') + 1);
    Members members;
    for (const ZipMember& member : all) {
      // What another program added beside the file is none of PyTorch's.
      if (!member.name.starts_with(root)) {
        if (!is_pickle_of_torch(member.name)) continue;
        file_.fail_at(member.begin, "expected one pickle, ", in_quotes(pickle->name), ", got ", in_quotes(member.name));
      }
      const std::string name = member.name.substr(root.size());
      if (name == "constants.pkl" || name.starts_with("code/"))
        file_.fail_at(member.begin,
                      "expected a state_dict that torch.save() wrote, got a program of TorchScript's: in Python, "
                      "torch.save(torch.jit.load(old).state_dict(), new)");
      members.emplace(name, member);
    }
    if (const auto order = members.find("byteorder"); order != members.end()) {
      MemberSource source(file_, order->second);
      const std::string text = source.read_string(std::min<uint64_t>(source.size(), 16), "a byte order");
      if (text != "little")
        source.fail_at(0, "expected little-endian numbers, got ", in_quotes(text),
                       "-endian ones: in Python, torch.save(torch.load(old), new) on a little-endian machine");
      source.finish();
    }
    return members;
  }

  Pickle read_pickle() {
    MemberSource source(file_, members_.find("data.pkl")->second);
    Pickle pickle(source, file_.size());
    source.finish();
    return pickle;
  }

  Tensor read(const std::string& name, Value value) {
    if (!is_utf8(name)) fail("expected names in UTF-8, got ", in_quotes(name));
    const auto other = [&](const std::string& got) {
      fail<NotOurs>(in_quotes(name), ": expected a tensor, got ", got);
    };
    if (!value.is(Kind::call)) other(pickle_.describe(value));
    const auto expect = [&](bool good, const auto&... parts) {
      if (!good) fail("tensor ", in_quotes(name), ": expected ", parts...);
    };
    const std::vector<Value>* call = &pickle_.items(value);
    const auto role = [&] { return pickle_.name((*call)[0]).role; };
    const auto arguments = [&]() -> const std::vector<Value>& { return pickle_.items((*call)[1]); };
    if (role() == Role::parameter) {
      // _rebuild_parameter(tensor, requires_grad, hooks), and what else it was given in Python
      expect((arguments().size() == 3 || arguments().size() == 4) && arguments()[0].is(Kind::call),
             "a parameter of a tensor, got another");
      call = &pickle_.items(arguments()[0]);
    }
    std::vector<Value> inner;
    if (role() == Role::from_type) {
      // _rebuild_from_type_v2(function, class, arguments, what else it was given in Python)
      const std::vector<Value>& wrapped = arguments();
      expect(wrapped.size() == 4 && wrapped[0].is(Kind::name) && wrapped[2].is(Kind::tuple),
             "a tensor of a class of its own, got another");
      inner = {wrapped[0], wrapped[2]};
      call = &inner;
    }
    if (role() != Role::tensor && role() != Role::typed_tensor)
      other(pickle_.describe((*call)[0]) + "(...)" +
            (role() == Role::other_tensor ? ": in Python, save tensor.to_dense() or tensor.dequantize()" : ""));
    // _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, metadata = None); _v3 has a dtype before
    // the metadata.
    const bool typed = role() == Role::typed_tensor;
    const std::size_t least = typed ? 7 : 6;
    const std::vector<Value>& items = arguments();
    expect(items.size() == least || items.size() == least + 1, "a tensor's ", least, " or ", least + 1, " values, got ",
           items.size());
    expect(items[1].is(Kind::integer), "an offset, got ", pickle_.describe(items[1]));
    if (items.size() > least && items[least].is(Kind::dict)) {
      const std::vector<Value>& metadata = pickle_.items(items[least]);
      expect(metadata.size() <= 16, "metadata of a few flags, got ", metadata.size());
      for (const Value flag : metadata)
        if (flag.is(Kind::boolean) && flag.integer)
          other(
              "one that is negated or conjugated when it is read: in Python, save tensor.resolve_neg().resolve_conj()");
    }
    const Shape shape = numbers<Shape>(name, items[2]);
    const Strides strides = numbers<Strides>(name, items[3]);
    expect(shape.size() == strides.size(), "as many strides as sizes, got ", strides.size(), " for ", shape.size());

    FileType type = float32;
    if (typed) {
      const Value dtype = items[6];
      expect(dtype.is(Kind::name) && pickle_.name(dtype).role == Role::dtype, "a dtype, got ", pickle_.describe(dtype));
      if (pickle_.name(dtype).other) other("one of " + pickle_.describe(dtype) + ": in Python, save tensor.float()");
      type = pickle_.name(dtype).type;
    }
    const Storage& storage = read_storage(name, items[0], typed ? &type : nullptr);
    tensor_bytes(file_, 0, shape, storage.type, message("tensor ", in_quotes(name), ": "));
    // Where the last element lies: none is beyond.
    const int64_t offset = items[1].integer;
    int64_t last = offset;
    bool sound = last >= 0, empty_shape = false;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      int64_t reach = 0;
      empty_shape |= shape[i] == 0;
      sound &= strides[i] >= 0 && !__builtin_mul_overflow(std::max<int64_t>(shape[i] - 1, 0), strides[i], &reach) &&
               !__builtin_add_overflow(last, reach, &last);
    }
    expect(sound && (empty_shape || last < storage.count), "sizes and strides within a storage of ", storage.count,
           " elements, got shape ", shape, ", strides ", Shape(strides.begin(), strides.end()), " and offset ", offset);
    if (empty_shape) return empty(shape, storage.type.dtype);
    return make_view(storage.elements, shape, strides, offset);
  }

  template <class List>
  List numbers(const std::string& name, Value tuple) const {
    const bool is_list = tuple.is(Kind::tuple) || tuple.is(Kind::list);
    if (!is_list) fail("tensor ", in_quotes(name), ": expected a tuple of numbers, got ", pickle_.describe(tuple));
    if (pickle_.items(tuple).size() > max_rank)
      fail<NotOurs>("tensor ", in_quotes(name), ": expected at most ", max_rank, " axes, got ",
                    pickle_.items(tuple).size());
    List list;
    for (const Value value : pickle_.items(tuple)) {
      if (!value.is(Kind::integer))
        fail("tensor ", in_quotes(name), ": expected a tuple of whole numbers, got ", pickle_.describe(value));
      list.push_back(value.integer);
    }
    return list;
  }

  /// ("storage", class, key, device, count), read once. typed: the elements' type where the class does not tell it; the
  /// count is then of bytes.
  const Storage& read_storage(const std::string& name, Value value, const FileType* typed) {
    const auto expect = [&](bool good, const auto&... parts) {
      if (!good) fail("tensor ", in_quotes(name), ": expected ", parts...);
    };
    expect(value.is(Kind::persistent), "a storage, got ", pickle_.describe(value));
    const Value id = pickle_.items(value)[0];
    expect(id.is(Kind::tuple) && pickle_.items(id).size() == 5, "a storage's five values, got ", pickle_.describe(id));
    const std::vector<Value>& items = pickle_.items(id);
    expect(items[0].is(Kind::text) && items[0].text() == "storage" && items[1].is(Kind::name) &&
               pickle_.name(items[1]).role == Role::storage && (!typed || pickle_.name(items[1]).module != "torch") &&
               items[2].is(Kind::text) && items[4].is(Kind::integer),
           "'storage', its class, key, device and size, got others");
    const Pickle::Name& class_ = pickle_.name(items[1]);
    if (class_.other)
      fail<NotOurs>(in_quotes(name), ": expected a tensor of a dtype that limpid has, got ", pickle_.describe(items[1]),
                    ": in Python, convert the tensor, complex ones by torch.view_as_real");
    const FileType type = typed ? *typed : class_.type;
    const auto width = static_cast<int64_t>(type.bytes());
    const int64_t count = typed ? items[4].integer / width : items[4].integer;

    const std::string key(items[2].text());
    auto found = storages_.find(key);
    if (found == storages_.end()) {
      const auto member = members_.find("data/" + key);
      expect(member != members_.end(), "a storage that the file holds, got the key ", in_quotes(key));
      MemberSource source(file_, member->second);
      const Shape shape{count};
      const uint64_t bytes = tensor_bytes(source, 0, shape, type, message("tensor ", in_quotes(name), ": "));
      if (bytes != source.size() && !(typed && source.size() == static_cast<uint64_t>(items[4].integer)))
        source.fail_at(0, "expected ", bytes, " bytes for ", count, " elements, got ", source.size());
      // Read once, and where it cannot be, tried once: any number of tensors may name it.
      std::exception_ptr& fault = unreadable_[key];
      if (fault) std::rethrow_exception(fault);
      try {
        const Tensor elements = read_tensor(source, shape, type);
        if (source.remaining()) source.read_string(source.remaining(), "padding");
        source.finish();
        found = storages_.emplace(key, Storage{type, count, elements}).first;
      } catch (const IOError&) {
        fault = std::current_exception();
        throw;
      }
    }
    const Storage& storage = found->second;
    expect(storage.type.dtype == type.dtype && storage.type.stored == type.stored && storage.count == count,
           "one class and size of the storage ", in_quotes(key), ", got two");
    return storage;
  }

  template <class E = Malformed, class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw_error<E>(file_.name(), ": ", parts...);
  }

  FileSource file_;
  Members members_;  // by their names below the root
  Pickle pickle_;
  std::map<std::string, Storage> storages_;
  std::map<std::string, std::exception_ptr> unreadable_;  // why, of storages that are sound by their size
};

void read_pt(const std::string& path, Entries& entries) { Reader(path).read_all(entries); }

}  // namespace

TensorMap load_pt(const std::string& path) { return load_entries(pt_op, path, read_pt); }
TensorMap load_pt(const std::string& path, LeftOut& left_out) { return load_entries(path, read_pt, left_out); }
Tensor load_pt(const std::string& path, const std::string& name) { return load_entry(pt_op, path, read_pt, name); }

}  // namespace limpid
