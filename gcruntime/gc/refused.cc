// What must not compile, and with which words. Not part of any target: refused_test.sh compiles it twice,
// once as it is (nothing refused) and once with TAILRACE_REFUSED, and looks for each message together with
// the name of the type that stands before it here:
//   // refused: <type> | <words of the message>
#include <array>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gcruntime/gc/make.h"
#include "gcruntime/gc/map.h"
#include "gcruntime/gc/member.h"
#include "gcruntime/gc/publish.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"
#include "gcruntime/gc/weak.h"

namespace tailrace::gc {

struct Leaf {
  Member<Leaf> next;
  String text;
};
BOOST_DESCRIBE_STRUCT(Leaf, (), (next, text))

// The same shapes done right: a refusal that comes here too would prove nothing.
struct Allowed {
  Member<Leaf> member;
  std::optional<Member<Leaf>> optional;
  std::array<Vector<Leaf>, 2> vectors;
  Map<String, Member<Leaf>> map;
  Opaque<Leaf*> not_managed{};
  Leaf nested;
};
BOOST_DESCRIBE_STRUCT(Allowed, (), (member, optional, vectors, map, not_managed, nested))

// Its destructor runs on the finalizer's thread.
struct Finalized {
  using finalized = void;
  ~Finalized() {}
  Opaque<std::string> text;
  Opaque<Weak<Leaf>> weak;
  Member<Leaf> leaf;
};
BOOST_DESCRIBE_STRUCT(Finalized, (), (text, weak, leaf))

inline void allowed() {
  make<Allowed>();
  make<Finalized>();
  Vector<Leaf> leaves;
  leaves.push_back(Leaf());
  Map<String, Leaf> map;
  map.insert("key", Leaf());
  const std::vector<Root<Leaf>> roots(2);
  const std::map<std::string, Root<Vector<Leaf>>> rooted;
  publish(make<Allowed>());
  const std::function<void()> closure = [root = Root<Leaf>()] { static_cast<void>(root.get()); };
}

#if defined(TAILRACE_REFUSED)

// refused: HasRawPointer | a raw pointer in a described struct
struct HasRawPointer {
  Leaf* leaf = nullptr;
};
BOOST_DESCRIBE_STRUCT(HasRawPointer, (), (leaf))

// refused: HasFunctionPointer | a raw pointer in a described struct
struct HasFunctionPointer {
  void (*function)() = nullptr;
};
BOOST_DESCRIBE_STRUCT(HasFunctionPointer, (), (function))

// refused: HasStdString | owns memory that the collector does not see
struct HasStdString {
  std::string text;
};
BOOST_DESCRIBE_STRUCT(HasStdString, (), (text))

// refused: HasStdVector | owns memory that the collector does not see
struct HasStdVector {
  std::vector<int> numbers;
};
BOOST_DESCRIBE_STRUCT(HasStdVector, (), (numbers))

// refused: HasWeak | owns memory that the collector does not see
struct HasWeak {
  Weak<Leaf> leaf;
};
BOOST_DESCRIBE_STRUCT(HasWeak, (), (leaf))

// refused: HasFunction | owns memory that the collector does not see
struct HasFunction {
  std::function<void()> function;
};
BOOST_DESCRIBE_STRUCT(HasFunction, (), (function))

// refused: HasSharedPtr | owns memory that the collector does not see
struct HasSharedPtr {
  std::shared_ptr<Leaf> leaf;
};
BOOST_DESCRIBE_STRUCT(HasSharedPtr, (), (leaf))

// refused: HasRoot | a Root in a managed object keeps what it points to for ever
struct HasRoot {
  Root<Leaf> leaf;
};
BOOST_DESCRIBE_STRUCT(HasRoot, (), (leaf))

// refused: HasView | this member of the described struct cannot be traced
struct HasView {
  std::string_view view;
};
BOOST_DESCRIBE_STRUCT(HasView, (), (view))

// refused: HasOptionalPointer | this member of the described struct cannot be traced
struct HasOptionalPointer {
  std::optional<Leaf*> leaf;
};
BOOST_DESCRIBE_STRUCT(HasOptionalPointer, (), (leaf))

struct Undescribed {
  Member<Leaf> leaf;
};
// refused: HasUndescribed | this member of the described struct cannot be traced
struct HasUndescribed {
  Undescribed undescribed;
};
BOOST_DESCRIBE_STRUCT(HasUndescribed, (), (undescribed))

// refused: ForgotAMember | a word of this struct is covered by no described member
struct ForgotAMember {
  Member<Leaf> known;
  Member<Leaf> forgotten;
};
BOOST_DESCRIBE_STRUCT(ForgotAMember, (), (known))

// refused: ForgotABase | a word of this struct is covered by no described member
struct ForgotABase : Leaf {
  Member<Leaf> known;
};
BOOST_DESCRIBE_STRUCT(ForgotABase, (), (known))

// refused: HiddenHandle | Opaque hides this handle from the collector
struct HiddenHandle {
  Member<Leaf> leaf;
};
struct OpaqueHolder {
  Opaque<Vector<HiddenHandle>> hidden;
};

// refused: HasDestructor | a managed type has a trivial destructor
struct HasDestructor {
  ~HasDestructor() {}
  std::int64_t number = 0;
};
BOOST_DESCRIBE_STRUCT(HasDestructor, (), (number))

// refused: MadeUndescribed | describe the type with BOOST_DESCRIBE_STRUCT
struct MadeUndescribed {
  Member<Leaf> leaf;
};

// refused: TooAligned | managed objects are aligned to 16 bytes at most
struct alignas(64) TooAligned {
  std::array<std::int64_t, 8> numbers{};
};
BOOST_DESCRIBE_STRUCT(TooAligned, (), (numbers))

struct PointerKey {
  Member<Leaf> leaf;
  friend bool operator==(const PointerKey&, const PointerKey&) = default;
};
BOOST_DESCRIBE_STRUCT(PointerKey, (), (leaf))

struct Element {};
// refused: std::vector<tailrace::gc::Member | a bare handle in a std container
// refused: std::vector<tailrace::gc::String | a bare handle in a std container
// refused: std::map<int, tailrace::gc::Vector | a bare handle in a std container
// refused: std::unordered_map<int, tailrace::gc::String | a bare handle in a std container
// refused: list<tailrace::gc::Map | a bare handle in a std container
// refused: basic_string<char> | a Vector's elements are handles
// refused: RootOfMember | a Root of a Member
struct RootOfMember {};
// refused: Member<char> | a Member to a single byte
// refused: Map<PointerKey | publish of a Map whose keys hold pointers
// refused: char | publish of a single byte
inline void refused() {
  make<HasRawPointer>();
  make<HasFunctionPointer>();
  make<HasStdString>();
  make<HasWeak>();
  make<HasStdVector>();
  make<HasFunction>();
  make<HasSharedPtr>();
  make<HasRoot>();
  make<HasView>();
  make<HasOptionalPointer>();
  make<HasUndescribed>();
  make<ForgotAMember>();
  make<ForgotABase>();
  make<HasDestructor>();
  make<MadeUndescribed>();
  make<TooAligned>();
  std::vector<Member<Leaf>> members;
  members.push_back(nullptr);
  std::vector<String> strings;
  strings.push_back("text");
  std::map<int, Vector<int>> map;
  map[1];
  std::unordered_map<int, String> unordered;
  unordered[1];
  std::list<Map<int, int>> list;
  list.emplace_back();
  Vector<std::string> vector;
  vector.push_back("text");
  const Root<Member<RootOfMember>> root;
  const Member<char> byte;
  publish(Map<PointerKey, int>());
  publish("text");
}

#endif

}  // namespace tailrace::gc
