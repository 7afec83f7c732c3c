#include "boot.h"

#include "../testing/check.h"
#include "../testing/patience.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Mirrors pygas/launch/protocol.py. */
enum {
    PUT = 1,
    FENCE = 2,
    FENCE_DONE = 3,
    GET = 4,
    VALUE = 5,
    BYE = 6,
    ABORT = 7,
    FAILED = 8,
    FINISHED = 9,
    ENDED = 10,
    POLICY = 11,
    POLICY_DONE = 12,
    ASK = 13,
    ANSWER = 14
};

typedef struct frame {
    uint32_t type;
    uint32_t length;
} frame_t;

/* A launcher of the test's own: takes one request of type `expects`, then answers with `reply`. */
typedef struct script {
    int fd;
    uint32_t expects;
    char request[4096]; /* payload of what came */
    uint32_t request_length;
    char reply[4096]; /* whole frames, or parts of them */
    size_t reply_length;
    int close; /* end of file after the reply */
} script_t;

static gas_boot_t *boot;
static script_t script;

static void read_exactly(int fd, void *to, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t n = read(fd, (char *)to + done, length - done);

        CHECK(n > 0);
        done += (size_t)n;
    }
}

static void *serve(void *arg)
{
    frame_t frame;

    (void)arg;
    read_exactly(script.fd, &frame, sizeof(frame));
    CHECK(frame.type == script.expects && frame.length <= sizeof(script.request));
    read_exactly(script.fd, script.request, frame.length);
    script.request_length = frame.length;
    for (size_t i = 0; i < script.reply_length; i++) /* in the smallest of pieces */
        CHECK(write(script.fd, script.reply + i, 1) == 1);
    if (script.close)
        shutdown(script.fd, SHUT_RDWR);
    return NULL;
}

static void open_boot(void)
{
    char spec[128];
    int fds[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    snprintf(spec, sizeof(spec), "fd:%d,rank:1,size:3,key:%032d", fds[1], 7);
    CHECK(gas_boot_create(spec, &boot) == GAS_OK);
    CHECK(boot->rank == 1 && boot->size == 3 && boot->one_host);
    memset(&script, 0, sizeof(script));
    script.fd = fds[0];
}

static void close_boot(void)
{
    boot->ops->destroy(boot);
    close(script.fd);
}

static void reply_add(const void *bytes, size_t length)
{
    memcpy(script.reply + script.reply_length, bytes, length);
    script.reply_length += length;
}

static void reply_frame(uint32_t type, uint32_t length)
{
    reply_add(&(frame_t){type, length}, sizeof(frame_t));
}

static gas_status_t fence(void)
{
    pthread_t thread;
    gas_status_t status;

    script.expects = FENCE;
    pthread_create(&thread, NULL, serve, NULL);
    status = boot->ops->fence(boot, NULL, NULL);
    pthread_join(thread, NULL);
    return status;
}

static gas_status_t get(int rank, void **address, size_t *length)
{
    pthread_t thread;
    gas_status_t status;

    script.expects = GET;
    pthread_create(&thread, NULL, serve, NULL);
    status = boot->ops->get(boot, rank, address, length);
    pthread_join(thread, NULL);
    CHECK(script.request_length == 4 && memcmp(script.request, &rank, 4) == 0);
    return status;
}

static void test_one_way(void)
{
    pthread_t thread;
    int32_t code;

    open_boot();
    script.expects = PUT;
    pthread_create(&thread, NULL, serve, NULL);
    CHECK(boot->ops->put(boot, "address", 7) == GAS_OK);
    pthread_join(thread, NULL);
    CHECK(script.request_length == 7 && memcmp(script.request, "address", 7) == 0);

    script.expects = ABORT;
    pthread_create(&thread, NULL, serve, NULL);
    CHECK(boot->ops->abort(boot, 3, "why") == GAS_OK);
    pthread_join(thread, NULL);
    memcpy(&code, script.request, 4);
    CHECK(code == 3 && script.request_length == 7 && memcmp(script.request + 4, "why", 3) == 0);

    script.expects = BYE;
    pthread_create(&thread, NULL, serve, NULL);
    CHECK(boot->ops->bye(boot) == GAS_OK);
    pthread_join(thread, NULL);
    CHECK(script.request_length == 0);
    close_boot();
}

static void test_fence_and_get(void)
{
    uint32_t rank = 2;
    void *address;
    size_t length;

    open_boot();
    reply_frame(FENCE_DONE, 0);
    CHECK(fence() == GAS_OK);
    script.reply_length = 0;
    reply_frame(VALUE, 4 + 5);
    reply_add(&rank, 4);
    reply_add("there", 5);
    CHECK(get(2, &address, &length) == GAS_OK);
    CHECK(length == 5 && memcmp(address, "there", 5) == 0);
    free(address);
    close_boot();
}

static void expect_bad_fence(uint32_t type, uint32_t length)
{
    open_boot();
    reply_frame(type, length);
    CHECK(fence() == GAS_ERR_PROTOCOL);
    close_boot();
}

static void test_malformed_fences(void)
{
    expect_bad_fence(VALUE, 0);
    expect_bad_fence(99, 0);
    expect_bad_fence(FENCE_DONE, 1);
    expect_bad_fence(FENCE_DONE, UINT32_MAX);
}

static void expect_bad_get(uint32_t type, uint32_t length, uint32_t rank)
{
    size_t size = 1;
    void *address = &size;

    open_boot();
    reply_frame(type, length);
    reply_add(&rank, 4);
    reply_add("0123456789", 10);
    CHECK(get(2, &address, &size) == GAS_ERR_PROTOCOL);
    CHECK(address == &size && size == 1); /* untouched */
    close_boot();
}

static void test_malformed_values(void)
{
    expect_bad_get(VALUE, 3, 2);
    expect_bad_get(VALUE, 0, 2);
    expect_bad_get(VALUE, 8, 1);
    expect_bad_get(VALUE, UINT32_MAX, 2);
    expect_bad_get(VALUE, (1u << 20) + 5, 2);
    expect_bad_get(FENCE_DONE, 8, 2);
}

static void test_end_of_file(void)
{
    uint32_t rank = 2;
    size_t length = 1;
    void *address = &length;

    open_boot();
    script.close = 1;
    CHECK(fence() == GAS_ERR_CLOSED);
    CHECK(boot->ops->put(boot, "x", 1) == GAS_ERR_CLOSED); /* and no SIGPIPE */
    CHECK(boot->ops->bye(boot) == GAS_ERR_CLOSED);
    close_boot();

    open_boot();
    script.close = 1;
    reply_frame(VALUE, 100);
    reply_add(&rank, 4);
    reply_add("cut", 3);
    CHECK(get(2, &address, &length) == GAS_ERR_CLOSED);
    CHECK(address == &length && length == 1);
    close_boot();
}

/* ---- events ---- */

static atomic_int failures, endings;

static void on_failed(void *arg, int rank, int status, const char *reason)
{
    CHECK(arg == &failures && rank == 2 && status == -9 && strcmp(reason, "why") == 0);
    atomic_fetch_add(&failures, 1);
}

static void on_ended(void *arg)
{
    CHECK(arg == &failures);
    atomic_fetch_add(&endings, 1);
}

static void on_asked(void *arg, uint32_t what)
{
    CHECK(arg == &failures);
    CHECK(boot->ops->answer(boot, what, "so so", 5) == GAS_OK);
}

static const gas_boot_events_t events = {
    .rank_failed = on_failed, .asked = on_asked, .ended = on_ended};

static void await_count(atomic_int *count, int wanted)
{
    AWAIT(atomic_load(count) >= wanted);
    CHECK(atomic_load(count) == wanted);
}

static void reply_failed(uint32_t rank)
{
    int32_t status = -9;

    reply_frame(FAILED, 4 + 4 + 3);
    reply_add(&rank, 4);
    reply_add(&status, 4);
    reply_add("why", 3);
}

/* They come in between answers, before there is a listener, and after. */
static void test_events(void)
{
    atomic_store(&failures, 0);
    atomic_store(&endings, 0);
    open_boot();
    reply_failed(2);
    reply_failed(3); /* there is no such rank */
    reply_frame(FENCE_DONE, 0);
    reply_failed(2);
    CHECK(fence() == GAS_OK);
    usleep(20000);
    CHECK(atomic_load(&failures) == 0);
    boot->ops->listen(boot, &events, &failures);
    await_count(&failures, 2);
    script.reply_length = 0;
    reply_failed(2);
    reply_frame(ENDED, 0);
    reply_frame(FENCE_DONE, 0);
    CHECK(fence() == GAS_OK);
    await_count(&failures, 3);
    await_count(&endings, 1);
    shutdown(script.fd, SHUT_RDWR); /* without a launcher nothing is worth waiting for */
    await_count(&endings, 2);
    boot->ops->listen(boot, NULL, NULL);
    close_boot();
}

static void test_questions(void)
{
    struct {
        frame_t frame;
        uint32_t what;
    } question = {{ASK, 4}, 77};
    pthread_t thread;
    uint32_t what;

    open_boot();
    boot->ops->listen(boot, &events, &failures);
    script.expects = ANSWER;
    pthread_create(&thread, NULL, serve, NULL);
    CHECK(write(script.fd, &question, sizeof(question)) == sizeof(question));
    pthread_join(thread, NULL);
    memcpy(&what, script.request, 4);
    CHECK(what == 77 && script.request_length == 9 && memcmp(script.request + 4, "so so", 5) == 0);
    close_boot();
}

static void test_policy_and_end(void)
{
    pthread_t thread;
    uint32_t policy;

    open_boot();
    script.expects = POLICY;
    reply_frame(POLICY_DONE, 0);
    pthread_create(&thread, NULL, serve, NULL);
    CHECK(boot->ops->set_policy(boot, true) == GAS_OK);
    pthread_join(thread, NULL);
    memcpy(&policy, script.request, 4);
    CHECK(script.request_length == 4 && policy == 1);
    script.reply_length = 0;
    script.expects = FINISHED;
    pthread_create(&thread, NULL, serve, NULL);
    CHECK(boot->ops->finished(boot) == GAS_OK);
    pthread_join(thread, NULL);
    CHECK(script.request_length == 0);
    close_boot();
}

static void test_address_of_the_dead(void)
{
    uint32_t rank = 2;
    size_t length = 1;
    void *address = &length;

    open_boot();
    reply_frame(VALUE, 4);
    reply_add(&rank, 4);
    CHECK(get(2, &address, &length) == GAS_ERR_RANK_FAILED);
    CHECK(gas_error_rank() == 2 && address == &length && length == 1);
    close_boot();
}

/* What nobody asked for, or makes no sense, is an error of whoever asks next. */
static void test_malformed_events(void)
{
    static const frame_t bad[] = {{FAILED, 7}, {FAILED, 1u << 20}, {ENDED, 1}, {FENCE_DONE, 0}};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        atomic_store(&endings, 0);
        open_boot();
        boot->ops->listen(boot, &events, &failures);
        CHECK(write(script.fd, &bad[i], sizeof(bad[i])) == sizeof(bad[i]));
        await_count(&endings, 1); /* it has been read: else the fence below had asked for it */
        CHECK(fence() == GAS_ERR_PROTOCOL);
        close_boot();
    }
}

static void test_specs(void)
{
    static const char *const bad[] = {
        "fd:0", "fd:-1,rank:0,size:1,key:00", "fd:0,rank:1,size:1,key:00",
        "fd:0,rank:-1,size:1,key:00", "fd:0,rank:0,size:0,key:00",
        "fd:0,rank:0,size:1,key:", "fd:0,rank:0,size:1,key:00x", "fd:0,rank:0,size:1",
        /* no socket at all */
        "fd:999,rank:0,size:1,key:00"};
    gas_boot_t *untouched = NULL;
    char spec[64];
    int fds[2];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(gas_boot_create(bad[i], &untouched) == GAS_ERR_INVALID);
        CHECK(untouched == NULL && gas_error_text()[0] != '\0');
    }
    CHECK(pipe(fds) == 0);
    snprintf(spec, sizeof(spec), "fd:%d,rank:0,size:1,key:00", fds[0]);
    CHECK(gas_boot_create(spec, &untouched) == GAS_ERR_INVALID);
    close(fds[0]);
    close(fds[1]);
    CHECK(gas_boot_create(NULL, &boot) == GAS_OK && boot->size == 1 && boot->rank == 0);
    boot->ops->destroy(boot);
}

int main(void)
{
    RUN(test_specs);
    RUN(test_one_way);
    RUN(test_fence_and_get);
    RUN(test_malformed_fences);
    RUN(test_malformed_values);
    RUN(test_end_of_file);
    RUN(test_events);
    RUN(test_questions);
    RUN(test_policy_and_end);
    RUN(test_address_of_the_dead);
    RUN(test_malformed_events);
    return 0;
}
