// Requests' arenas as the server opens and ends them: what lies in them, what outlives them, and what
// /debug/arenas tells of them.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "gcruntime/gc/arena.h"
#include "gcruntime/gc/collect.h"
#include "gcruntime/gc/make.h"
#include "gcruntime/gc/memory_limit.h"
#include "gcruntime/gc/publish.h"
#include "gcruntime/gc/root.h"
#include "gcruntime/gc/string.h"
#include "gcruntime/gc/vector.h"
#include "server/json_body.h"
#include "server/test_server.h"

namespace tailrace::http {
namespace {

struct Note {
  std::int64_t id = 0;
  gc::String text;
  gc::Member<Note> next;
};
BOOST_DESCRIBE_STRUCT(Note, (), (id, text, next))

Note* make_notes(std::int64_t count) {
  Note* last = nullptr;
  for (std::int64_t i = 0; i < count; ++i) {
    Note* const note = gc::make<Note>();
    note->id = i;
    note->text = gc::String("a text of more than fifteen bytes");
    note->next = last;
    last = note;
  }
  return last;
}

class ArenaSessionTest : public testing::TestWithParam<unsigned> {
 protected:
  void add_routes(Router& router) {
    router.add(Method::kGet, "/arena", [](Request& request) {
      make_notes(request.query<std::int64_t>("notes").value_or(0));
      return Response::text(200, gc::has_arena() ? "yes" : "no");
    });
    router.add(Method::kGet, "/heap",
               [](Request& request) {
                 make_notes(request.query<std::int64_t>("notes").value_or(0));
                 return Response::text(200, gc::has_arena() ? "yes" : "no");
               },
               {.arena = false});
    router.add(Method::kPost, "/note", [](Request& request) {
      Note* const note = request.json<Note>();
      note->text = gc::concat(note->text, " and more, ", request.header("X-Mark"));
      return json(*note);
    });
    router.add(Method::kGet, "/type", [](Request& request) {
      // Lives in the arena, which the head of the reply refers to.
      const gc::String type = gc::concat(
          "text/", request.query<std::string_view>("type").value_or("plain"), "; charset=utf-8");
      return Response::text(200, "typed", type);
    });
    router.add(Method::kGet, "/throw/{what}", [](Request& request) -> Response {
      make_notes(10);
      const auto what = request.param<std::string_view>("what");
      if (what == "http") throw HttpError(409, "conflict", "it is taken");
      if (what == "memory") {
        throw gc::MemoryLimitExceeded(gc::MemoryLimitExceeded::Why::kLiveData, 64);
      }
      throw std::runtime_error("no");
    });
    router.add(Method::kPut, "/kept/{how}", [this](Request& request) {
      Note* const notes = make_notes(50);
      kept_ = request.param<std::string_view>("how") == "published" ? gc::publish(notes) : notes;
      return no_content();
    });
    router.add(Method::kGet, "/kept", [this](Request&) {
      std::int64_t count = 0;
      for (const Note* note = kept_.get(); note != nullptr; note = note->next.get()) {
        count += note->text == "a text of more than fifteen bytes" ? 1 : 1000;
      }
      return Response::text(200, std::to_string(count));
    });
    router.add(Method::kGet, "/big", [](Request&) {
      make_notes(10);
      Response response(200, kTextType);
      response.body().append(std::string(std::size_t{8} << 20, 'b'));
      return response;
    });
  }
  // The difference that `f` makes to the bytes of that route and kind.
  template <typename F>
  double bytes(const std::string& route, const std::string& kind, F&& f) {
    const double before = total(route, kind);
    f();
    return total(route, kind) - before;
  }
  double total(const std::string& route, const std::string& kind) {
    return server_.metric("tailrace_http_request_alloc_bytes_total{route=\"" + route +
                          "\",kind=\"" + kind + "\"}");
  }
  // A reply may be read before its arena has ended.
  static void wait_for_none_open() {
    wait_until([] { return gc::read_arena_stats().open == 0; });
  }

  gc::ThreadScope attached_;
  gc::Root<Note> kept_;
  TestServer server_{GetParam(), [this](Router& router) { add_routes(router); },
                     [](Config& config) { config.limits.arena_bytes = 64 * 1024; }};
  TestClient client_{server_.port()};
};
INSTANTIATE_TEST_SUITE_P(Workers, ArenaSessionTest, testing::Values(1u, 2u, 4u));

TEST_P(ArenaSessionTest, EachRequestHasOneUnlessItsRouteSaysNo) {
  EXPECT_EQ(client_.get("/heap")->body, "no");
  const std::uint64_t before = gc::read_arena_stats().opened;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(client_.get("/arena")->body, "yes");
  EXPECT_EQ(client_.request("HEAD", "/arena")->status, 200);
  // Neither is a handler's: nothing to open one for.
  EXPECT_EQ(client_.get("/nowhere")->status, 404);
  EXPECT_EQ(client_.request("POST", "/arena", "x")->status, 405);
  wait_for_none_open();
  EXPECT_EQ(gc::read_arena_stats().opened, before + 11);
}

TEST_P(ArenaSessionTest, KindsAreExact) {
  const auto get = [&](const std::string& path) {
    return [this, path] { ASSERT_EQ(client_.get(path)->status, 200); };
  };
  // Note and its text, each with its header and rounded up.
  const double each = bytes("/arena", "arena", get("/arena?notes=1"));
  EXPECT_GE(each, sizeof(Note) + 34);
  EXPECT_EQ(bytes("/arena", "arena", get("/arena?notes=100")), 100 * each);
  EXPECT_EQ(bytes("/arena", "heap", get("/arena?notes=100")), 0);
  EXPECT_EQ(bytes("/heap", "arena", get("/heap?notes=100")), 0);
  EXPECT_GE(bytes("/heap", "heap", get("/heap?notes=100")), 100 * sizeof(Note));
}

TEST_P(ArenaSessionTest, BeyondItsCapTheHeapIsUsed) {
  const auto get = [&] { ASSERT_EQ(client_.get("/arena?notes=5000")->status, 200); };
  const double heap = bytes("/arena", "heap", get);
  const double arena = bytes("/arena", "arena", get);
  EXPECT_GT(heap, 0);
  EXPECT_GT(arena, 32 * 1024);
  EXPECT_LE(arena, 64 * 1024);
  wait_for_none_open();
}

TEST_P(ArenaSessionTest, DecodedBodiesAndCopiedHeadersLieThere) {
  const std::string body = R"({"id":7,"text":"a text of more than fifteen bytes","next":null})";
  const auto post = [&] {
    const auto answer = client_.request(
        "POST", "/note", body, {{"Content-Type", "application/json"}, {"X-Mark", "marked"}});
    EXPECT_EQ(
        answer->body,
        R"({"id":7,"text":"a text of more than fifteen bytes and more, marked","next":null})");
  };
  EXPECT_EQ(bytes("/note", "heap", post), 0);
  EXPECT_GT(bytes("/note", "arena", post), sizeof(Note) + 34 + 50);
}

TEST_P(ArenaSessionTest, PipelinedRepliesMayReferToTheirArena) {
  constexpr int kRequests = 40;
  std::string requests;
  for (int i = 0; i < kRequests; ++i) {
    requests += "GET /type?type=" + std::string(20, static_cast<char>('a' + i % 26)) +
                " HTTP/1.1\r\nHost: a\r\n\r\n";
  }
  const std::uint64_t faded = gc::read_arena_stats().faded_objects;
  TestClient client = server_.client();
  ASSERT_TRUE(client.connect());
  ASSERT_TRUE(client.send(requests));
  for (int i = 0; i < kRequests; ++i) {
    const auto answer = client.read_response();
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->header("Content-Type"),
              "text/" + std::string(20, static_cast<char>('a' + i % 26)) + "; charset=utf-8");
  }
  // Nor has any reply left its arena, which would have made its type the collector's.
  wait_for_none_open();
  EXPECT_EQ(gc::read_arena_stats().faded_objects, faded);
}

TEST_P(ArenaSessionTest, EndsAfterWhateverTheHandlerThrows) {
  const auto expect = [this](const std::string& what, int status) {
    const double made = bytes("/throw/{what}", "arena", [&] {
      EXPECT_EQ(client_.get("/throw/" + what)->status, status) << what;
    });
    EXPECT_GT(made, 0) << what;
  };
  expect("http", 409);
  expect("memory", 503);
  expect("else", 500);
  wait_for_none_open();
}

TEST_P(ArenaSessionTest, EndsWhenTheClientIsGone) {
  const std::uint64_t before = gc::read_arena_stats().opened;
  {
    TestClient client = server_.client();
    ASSERT_TRUE(client.connect());
    ASSERT_TRUE(client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n"));
    wait_until([&] { return gc::read_arena_stats().opened > before; });
  }
  wait_for_none_open();
}

TEST_P(ArenaSessionTest, WhatIsKeptOutlivesIt) {
  for (const char* how : {"published", "stored"}) {
    const std::uint64_t faded = gc::read_arena_stats().faded_objects;
    ASSERT_EQ(client_.request("PUT", "/kept/" + std::string(how))->status, 204);
    wait_for_none_open();
    EXPECT_EQ(gc::read_arena_stats().faded_objects - faded, how[0] == 'p' ? 0u : 100u) << how;
    for (int i = 0; i < 3; ++i) {
      gc::native([this] { client_.get("/arena?notes=200"); });
      gc::collect();
    }
    EXPECT_EQ(client_.get("/kept")->body, "50") << how;
  }
  TestClient admin(server_.admin_port());
  const std::string report = admin.get("/debug/arenas?format=json")->body;
  EXPECT_NE(report.find("\"label\":\"/kept/{how}\""), std::string::npos) << report;
  EXPECT_NE(report.find("Note\""), std::string::npos) << report;
  const std::string text = admin.get("/debug/arenas")->body;
  EXPECT_NE(text.find("/kept/{how}"), std::string::npos) << text;
  EXPECT_EQ(admin.get("/debug/arenas?format=xml")->status, 400);
  // Looking at the program's symbols is no work for a worker.
  EXPECT_EQ(server_.value("tailrace_blocking_calls_total", "pool"), 2);
}

}  // namespace
}  // namespace tailrace::http
