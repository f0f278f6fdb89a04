// From text to a program in postfix order, by recursive descent: alternatives, then conjunctions, then one term.
//
// Precedence is what ss(8) says: not, and, or. (The grammar inside ss reads `a or b and c` from left to right, as
// `(a or b) and c`; here it is what its manual promises.)
#include <array>

#include "control/filter.h"
#include "control/filter_text.h"

namespace adieu::control {
namespace {

enum class TokenKind : std::uint8_t { End, Word, Quoted, Open, Close, And, Or, Not, Compare };
struct Token {
  TokenKind kind = TokenKind::End;
  std::string_view text;   // where it stands
  std::string_view value;  // of a quoted one: what is inside
};

template <typename T>
constexpr std::uint8_t as_number(T value) {
  return static_cast<std::uint8_t>(value);
}
constexpr FilterValue kStandingWords[] = {
    {"alive", as_number(Standing::Alive)},     {"silent", as_number(Standing::Silent)},
    {"suspect", as_number(Standing::Suspect)}, {"gone", as_number(Standing::Gone)},
    {"unknown", as_number(Standing::Unknown)}, {"ended", as_number(Standing::Ended)}};
constexpr FilterValue kHeldWords[] = {{"yes", as_number(plane::Known::Yes)},
                                      {"no", as_number(plane::Known::No)},
                                      {"unknown", as_number(plane::Known::Unknown)}};
constexpr FilterValue kHolderWords[] = {{"held", as_number(plane::Holder::Held)},
                                        {"accept-queue", as_number(plane::Holder::AcceptQueue)},
                                        {"orphan", as_number(plane::Holder::Orphan)},
                                        {"unknown", as_number(plane::Holder::Unknown)}};
constexpr FilterValue kEndOfStreamWords[] = {{"read", as_number(plane::Known::Yes)},
                                             {"unread", as_number(plane::Known::No)},
                                             {"unknown", as_number(plane::Known::Unknown)}};
constexpr FilterValue kPlaneWords[] = {{"engine", as_number(plane::PlaneKind::Engine)},
                                       {"kernel", as_number(plane::PlaneKind::Kernel)}};
constexpr FilterValue kFamilyWords[] = {{"inet", as_number(Family::V4)}, {"inet6", as_number(Family::V6)}};

constexpr bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
constexpr bool ends_word(char c) {
  return is_space(c) || std::string_view("()!=<>&|\"'").find(c) != std::string_view::npos;
}

}  // namespace

class FilterParser {
 public:
  explicit FilterParser(std::string_view text) : text_(text), rest_(text) {}

  static std::optional<FilterWord> word(std::size_t number) {
    if (number >= words().size()) return std::nullopt;
    const Word& word = words()[number];
    return FilterWord{word.name, word.shape == Shape::States ? state_words() : word.values};
  }

  std::expected<Filter, FilterError> parse() {
    if (text_.size() > Filter::kMostOctets)
      return std::unexpected(FilterError{FilterTrouble::TooLong, Filter::kMostOctets,
                                         static_cast<std::uint32_t>(text_.size() - Filter::kMostOctets)});
    if (!advance()) return std::unexpected(error_);
    if (token_.kind == TokenKind::End) return filter_;
    if (!alternatives()) return std::unexpected(error_);
    if (token_.kind == TokenKind::Close) {
      fail(FilterTrouble::ParenthesisExtra, token_.text);
      return std::unexpected(error_);
    }
    filter_.learn_states();
    return filter_;
  }

 private:
  using Op = Filter::Op;
  using Compare = Filter::Compare;
  using Node = Filter::Node;

  // What stands behind a word.
  enum class Shape : std::uint8_t { States, Host, Port, Choice, Name, Number, Count, Duration };
  struct Word {
    std::string_view name;
    Shape shape = Shape::Choice;
    Op op = Op::Anything;
    std::span<const FilterValue> values = {};
    FilterTrouble trouble = FilterTrouble::UnknownWord;  // of a choice that is none of them
  };
  static std::span<const Word> words() {
    static constexpr Word kWords[] = {
        {"state", Shape::States, Op::State},
        {"exclude", Shape::States, Op::State},
        {"src", Shape::Host, Op::Local},
        {"dst", Shape::Host, Op::Remote},
        {"sport", Shape::Port, Op::LocalPort},
        {"dport", Shape::Port, Op::RemotePort},
        {"standing", Shape::Choice, Op::Standing, kStandingWords, FilterTrouble::UnknownStanding},
        {"age", Shape::Duration, Op::Age},
        {"idle", Shape::Duration, Op::Idle},
        {"held", Shape::Choice, Op::Held, kHeldWords, FilterTrouble::UnknownHeld},
        {"holder", Shape::Choice, Op::Holder, kHolderWords, FilterTrouble::UnknownHolder},
        {"eof", Shape::Choice, Op::EndOfStream, kEndOfStreamWords, FilterTrouble::UnknownEndOfStream},
        {"plane", Shape::Name, Op::Plane, kPlaneWords},
        {"pid", Shape::Number, Op::Pid},
        {"comm", Shape::Name, Op::Comm},
        {"unread", Shape::Count, Op::Unread},
        {"unsent", Shape::Count, Op::Unsent},
        {"attempts", Shape::Count, Op::Attempts},
        {"family", Shape::Choice, Op::Family, kFamilyWords, FilterTrouble::UnknownFamily}};
    return kWords;
  }

  bool fail(FilterTrouble trouble, std::string_view where) {
    error_ = {trouble, static_cast<std::uint32_t>(where.data() - text_.data()),
              static_cast<std::uint32_t>(where.size())};
    return false;
  }
  bool fail(const TextTrouble& trouble) { return fail(trouble.trouble, trouble.where); }

  // --- tokens ---

  bool take(TokenKind kind, std::size_t length) {
    token_ = {kind, rest_.substr(0, length), rest_.substr(0, length)};
    rest_.remove_prefix(length);
    return true;
  }

  bool advance() {
    while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
    if (rest_.empty()) return take(TokenKind::End, 0);
    const char next = rest_.size() > 1 ? rest_[1] : '\0';
    switch (rest_.front()) {
      case '(': return take(TokenKind::Open, 1);
      case ')': return take(TokenKind::Close, 1);
      case '&': return take(TokenKind::And, next == '&' ? 2 : 1);
      case '|': return take(TokenKind::Or, next == '|' ? 2 : 1);
      case '!': return next == '=' ? take(TokenKind::Compare, 2) : take(TokenKind::Not, 1);
      case '=':
      case '<':
      case '>': return take(TokenKind::Compare, next == '=' ? 2 : 1);
      case '"':
      case '\'': return quoted();
      default: break;
    }
    std::size_t end = 0;
    while (end < rest_.size() && !ends_word(rest_[end])) ++end;
    take(TokenKind::Word, end);
    if (is_word(token_.text, "and")) token_.kind = TokenKind::And;
    if (is_word(token_.text, "or")) token_.kind = TokenKind::Or;
    if (is_word(token_.text, "not")) token_.kind = TokenKind::Not;
    return true;
  }

  bool quoted() {
    const std::size_t end = rest_.find(rest_.front(), 1);
    if (end == std::string_view::npos) return fail(FilterTrouble::QuoteOpen, rest_);
    take(TokenKind::Quoted, end + 1);
    token_.value = token_.text.substr(1, end - 1);
    return true;
  }

  // --- program ---

  bool emit(const Node& node, std::string_view where) {
    if (filter_.nodes_.size() == Filter::kMostNodes) return fail(FilterTrouble::TooManyTerms, where);
    filter_.nodes_.push_back(node);
    return true;
  }
  bool emit(Op op, std::string_view where) { return emit(node_of(op), where); }

  static Node node_of(Op op, Compare compare = Compare::Equal, std::uint64_t number = 0) {
    Node node;
    node.op = op;
    node.compare = compare;
    node.number = number;
    return node;
  }

  // --- grammar ---

  bool alternatives() {
    if (!conjunction()) return false;
    while (token_.kind == TokenKind::Or) {
      const std::string_view where = token_.text;
      if (!advance() || !conjunction() || !emit(Op::Or, where)) return false;
    }
    return true;
  }

  bool conjunction() {
    if (!term()) return false;
    while (token_.kind != TokenKind::Or && token_.kind != TokenKind::Close && token_.kind != TokenKind::End) {
      const std::string_view where = token_.text;
      if (token_.kind == TokenKind::And && !advance()) return false;
      if (!term() || !emit(Op::And, where)) return false;
    }
    return true;
  }

  bool term() {
    bool negated = false;
    const std::string_view where = token_.text;
    while (token_.kind == TokenKind::Not) {
      negated = !negated;
      if (!advance()) return false;
    }
    if (token_.kind == TokenKind::Open ? !parenthesis() : !predicate()) return false;
    return !negated || emit(Op::Not, where);
  }

  bool parenthesis() {
    const std::string_view open = token_.text;
    if (nesting_ == Filter::kMostNesting) return fail(FilterTrouble::TooDeep, open);
    ++nesting_;
    if (!advance() || !alternatives()) return false;
    --nesting_;
    if (token_.kind != TokenKind::Close) return fail(FilterTrouble::ParenthesisOpen, open);
    return advance();
  }

  // --- one term ---

  // The operator, if one stands here; Equal if none does, as in ss.
  bool compare(Compare& compare, bool& written) {
    struct Spelling {
      std::string_view name;
      Compare compare;
    };
    static constexpr Spelling kSpellings[] = {
        {"=", Compare::Equal},         {"==", Compare::Equal},        {"eq", Compare::Equal},
        {"!=", Compare::NotEqual},     {"ne", Compare::NotEqual},     {"neq", Compare::NotEqual},
        {"<", Compare::Less},          {"lt", Compare::Less},         {"<=", Compare::LessEqual},
        {"le", Compare::LessEqual},    {"leq", Compare::LessEqual},   {">", Compare::Greater},
        {"gt", Compare::Greater},      {">=", Compare::GreaterEqual}, {"ge", Compare::GreaterEqual},
        {"geq", Compare::GreaterEqual}};
    compare = Compare::Equal;
    written = false;
    if (token_.kind != TokenKind::Word && token_.kind != TokenKind::Compare) return true;
    for (const Spelling& spelling : kSpellings) {
      if (!is_word(token_.text, spelling.name)) continue;
      compare = spelling.compare;
      written = true;
      return advance();
    }
    return true;
  }

  enum class Allowed : std::uint8_t { Equality, Order, Both };

  // What stands behind a word: an operator, perhaps, and a value, which is left as the token.
  bool comparison(std::string_view word, Allowed allowed, Compare& how) {
    const std::string_view sign = token_.text;
    bool written = false;
    if (!compare(how, written)) return false;
    const std::string_view where = written ? sign : word;
    const bool equality = how == Compare::Equal || how == Compare::NotEqual;
    if (allowed == Allowed::Equality && !equality) return fail(FilterTrouble::OnlyEquality, where);
    if (token_.kind != TokenKind::Word && token_.kind != TokenKind::Quoted)
      return fail(FilterTrouble::ValueMissing, word);
    if (allowed == Allowed::Order && equality) return fail(FilterTrouble::OnlyOrder, where);
    return true;
  }

  bool predicate() {
    if (token_.kind != TokenKind::Word) return fail(FilterTrouble::TermMissing, token_.text);
    const std::string_view text = token_.text;
    if (is_state_word(text)) return states();
    if (!advance()) return false;
    for (const Word& word : words())
      if (is_word(text, word.name)) return term_of(word, text);
    for (const std::string_view known : {"dev", "fwmark", "cgroup", "autobound"})
      if (is_word(text, known)) return fail(FilterTrouble::OnlyInSs, text);
    return fail(FilterTrouble::UnknownWord, text);
  }

  bool term_of(const Word& word, std::string_view where) {
    switch (word.shape) {
      case Shape::States: break;  // states() takes several of them at once
      case Shape::Host: return host(where, word.op, word.op == Op::Local ? Op::LocalPort : Op::RemotePort);
      case Shape::Port: return port(where, word.op);
      case Shape::Choice: return choice(where, word);
      case Shape::Name: return name(where, word);
      case Shape::Number: return count(where, word.op, Allowed::Equality);
      case Shape::Count: return count(where, word.op, Allowed::Both);
      case Shape::Duration: return duration(where, word.op);
    }
    return fail(FilterTrouble::UnknownWord, where);
  }

  static bool is_state_word(std::string_view word) { return is_word(word, "state") || is_excluding(word); }
  static bool is_excluding(std::string_view word) { return is_word(word, "exclude") || is_word(word, "excl"); }

  // `state A state B exclude C` is one set, built up from the left; one that begins with `exclude`, from all.
  bool states() {
    const std::string_view first = token_.text;
    StateSet set = 0;
    for (bool is_first = true; token_.kind == TokenKind::Word && is_state_word(token_.text); is_first = false) {
      const std::string_view word = token_.text;
      Compare how = Compare::Equal;
      if (!advance() || !comparison(word, Allowed::Equality, how)) return false;
      const auto named = parse_states(token_.value);
      if (!named) return fail(named.error());
      const bool excluded = is_excluding(word) != (how == Compare::NotEqual);
      if (is_first) set = excluded ? Filter::kAllStates : StateSet{0};
      set = static_cast<StateSet>(excluded ? set & ~*named : set | *named);
      if (!advance()) return false;
    }
    return emit(node_of(Op::State, Compare::Equal, set), first);
  }

  bool host(std::string_view word, Op address_op, Op port_op) {
    Compare how = Compare::Equal;
    if (!comparison(word, Allowed::Equality, how)) return false;
    const auto host = parse_host(token_.value);
    if (!host) return fail(host.error());
    unsigned parts = 0;
    const auto part = [&](const Node& node) { return emit(node, word) && (parts++ == 0 || emit(Op::And, word)); };
    if (host->network && !part(node_of(address_op, *host->network))) return false;
    if (host->family && !part(node_of(Op::Family, Compare::Equal, as_number(*host->family)))) return false;
    if (host->port && !part(node_of(port_op, Compare::Equal, *host->port))) return false;
    if (parts == 0 && !part(node_of(Op::Anything))) return false;
    if (how == Compare::NotEqual && !emit(Op::Not, word)) return false;
    return advance();
  }

  static Node node_of(Op op, const Network& network) {
    Node node = node_of(op);
    node.bits = network.bits;
    for (unsigned i = 0; i < 8; ++i) {
      node.number = node.number << 8 | network.address.octets[i];
      node.second = node.second << 8 | network.address.octets[8 + i];
    }
    return node;
  }

  bool port(std::string_view word, Op op) {
    Compare how = Compare::Equal;
    if (!comparison(word, Allowed::Both, how)) return false;
    const auto port = parse_port(token_.value);
    if (!port) return fail(port.error());
    if (!*port && how != Compare::Equal && how != Compare::NotEqual) return fail(FilterTrouble::BadPort, token_.text);
    const Node node = *port ? node_of(op, how, **port) : node_of(Op::Anything);
    if (!emit(node, word) || (!*port && how == Compare::NotEqual && !emit(Op::Not, word))) return false;
    return advance();
  }

  bool choice(std::string_view where, const Word& word) {
    Compare how = Compare::Equal;
    if (!comparison(where, Allowed::Equality, how)) return false;
    for (const FilterValue& value : word.values)
      if (is_word(token_.value, value.name)) return emit(node_of(word.op, how, value.number), where) && advance();
    return fail(word.trouble, token_.text);
  }

  bool name(std::string_view where, const Word& word) {
    Compare how = Compare::Equal;
    if (!comparison(where, Allowed::Equality, how)) return false;
    const std::string_view name = token_.value;
    const std::size_t star = name.find('*');
    if (name.empty() || (star != std::string_view::npos && star + 1 != name.size()))
      return fail(FilterTrouble::BadName, token_.text);
    Node node = node_of(word.op, how);
    node.open_ended = star != std::string_view::npos;
    node.name = static_cast<std::uint16_t>(filter_.names_.size());
    node.length = static_cast<std::uint16_t>(name.size() - (node.open_ended ? 1 : 0));
    for (const FilterValue& value : word.values)
      if (name == value.name) node.number = value.number;
    filter_.names_.insert(filter_.names_.end(), name.begin(), name.begin() + node.length);
    return emit(node, where) && advance();
  }

  bool count(std::string_view word, Op op, Allowed allowed) {
    Compare how = Compare::Equal;
    if (!comparison(word, allowed, how)) return false;
    const auto count = parse_count(token_.value);
    if (!count) return fail(count.error());
    return emit(node_of(op, how, *count), word) && advance();
  }

  bool duration(std::string_view word, Op op) {
    Compare how = Compare::Equal;
    if (!comparison(word, Allowed::Order, how)) return false;
    const auto duration = parse_duration(token_.value);
    if (!duration) return fail(duration.error());
    return emit(node_of(op, how, static_cast<std::uint64_t>(duration->ns)), word) && advance();
  }

  std::string_view text_;
  std::string_view rest_;
  Token token_;
  unsigned nesting_ = 0;
  Filter filter_;
  FilterError error_;
};

std::optional<FilterWord> filter_word(std::size_t number) { return FilterParser::word(number); }
std::expected<Filter, FilterError> Filter::parse(std::string_view text) { return FilterParser(text).parse(); }

}  // namespace adieu::control
