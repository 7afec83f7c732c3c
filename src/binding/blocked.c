/*
 * Design notes. It costs nothing while nobody waits for long: a caller that has waited for
 * `patience` asks the owner (and again after ever longer times). There the handler starts a
 * *lookout*, a thread for one time, as the threads of the rank may all be blocked. It looks at the
 * threads that run requests twice, `patience` apart. One that is in the same request, has not
 * waited in PyGAS in between and has used next to no processor time is blocked; if other requests
 * are queued meanwhile (or PYGAS_DEBUG is set) it attaches and reports it, once for each request.
 *
 * Each thread that runs requests has a *post*, made at the first and never freed, whose atomics the
 * lookout reads detached. The requests themselves are on that thread's stack, and are looked at
 * only attached: with an interpreter lock nobody ends a request meanwhile. Without one, `lock` of
 * the post is held while they are changed, and for the report.
 */
#include "blocked.h"

#include "compat.h"

#include <pthread.h>
#include <time.h>

#define BUSY_PER_MILLE 20u /* of processor time: a thread that uses more is not blocked */
#define POSTS_MAX 64       /* that one lookout compares */

typedef struct post {
    struct post *next; /* constant once it is in the list */
    pthread_t thread;
    unsigned long ident; /* what Python calls it */
    atomic_bool over;    /* the thread has ended, or is about to */
    /* Written by the thread alone: */
    atomic_ulong serial; /* changes with every beginning and end of a request, and end of a wait */
    atomic_ulong depth;  /* of requests */
    atomic_bool waiting; /* in PyGAS, and not for a request that runs meanwhile */
    pg_running_t *top;   /* innermost; read attached */
    atomic_ulong reported; /* the lookout's: serial of the last request that it reported */
#ifdef Py_GIL_DISABLED
    pthread_mutex_t lock; /* guards `top` and what it points to */
#endif
} post_t;

#ifdef Py_GIL_DISABLED
#define POST_LOCK(post) pthread_mutex_lock(&(post)->lock)
#define POST_UNLOCK(post) pthread_mutex_unlock(&(post)->lock)
#else
#define POST_LOCK(post) ((void)(post))
#define POST_UNLOCK(post) ((void)(post))
#endif

static _Atomic(post_t *) posts;
static atomic_bool looking; /* a lookout is there */
static pthread_key_t at_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local post_t *mine;

static void leave(void *post)
{
    atomic_store(&((post_t *)post)->over, true);
}

static void make_key(void)
{
    pthread_key_create(&at_end, leave);
}

/* A post whose thread has ended, taken over, or a new one; NULL: no memory. */
static post_t *find_post(void)
{
    post_t *post;

    for (post = atomic_load(&posts); post != NULL; post = post->next) {
        bool over = true;

        if (atomic_compare_exchange_strong(&post->over, &over, false))
            return post;
    }
    post = calloc(1, sizeof(*post));
    if (post == NULL)
        return NULL;
#ifdef Py_GIL_DISABLED
    pthread_mutex_init(&post->lock, NULL);
#endif
    post->next = atomic_load(&posts);
    while (!atomic_compare_exchange_weak(&posts, &post->next, post))
        ;
    return post;
}

static post_t *my_post(void)
{
    if (mine == NULL) {
        pthread_once(&once, make_key);
        mine = find_post();
        if (mine != NULL) {
            mine->thread = pthread_self();
            mine->ident = PyThread_get_thread_ident();
            pthread_setspecific(at_end, mine);
        }
    }
    return mine;
}

/* For the only writer: no locked instruction. */
static void count(atomic_ulong *counter, unsigned long by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

void pg_running_begin(pg_running_t *running, const pg_request_head_t *head, int source)
{
    post_t *post = my_post();

    *running = (pg_running_t){.head = head, .source = source};
    if (post == NULL)
        return;
    POST_LOCK(post);
    running->waiting = atomic_load_explicit(&post->waiting, memory_order_relaxed);
    atomic_store_explicit(&post->waiting, false, memory_order_relaxed);
    running->outer = post->top;
    post->top = running;
    count(&post->serial, 1);
    count(&post->depth, 1);
    POST_UNLOCK(post);
}

void pg_running_end(pg_running_t *running)
{
    post_t *post = mine;

    if (post == NULL)
        return;
    POST_LOCK(post);
    atomic_store_explicit(&post->waiting, running->waiting, memory_order_relaxed);
    post->top = running->outer;
    count(&post->serial, 1);
    count(&post->depth, -1ul);
    POST_UNLOCK(post);
}

void pg_running_with(pg_running_t *running, PyObject *object, PyObject *args)
{
    post_t *post = mine;

    if (post == NULL)
        return;
    POST_LOCK(post);
    running->object = object;
    running->args = args;
    POST_UNLOCK(post);
}

void pg_running_wait_begin(void)
{
    if (mine != NULL)
        atomic_store_explicit(&mine->waiting, true, memory_order_relaxed);
}

void pg_running_wait_end(void)
{
    if (mine != NULL) {
        atomic_store_explicit(&mine->waiting, false, memory_order_relaxed);
        count(&mine->serial, 1);
    }
}

uint64_t pg_blocked_patience(void)
{
    uint64_t seconds = pg.job->config.blocked_s;

    if (gas_config_debugs(&pg.job->config, "1") && seconds > 1)
        seconds = 1;
    return seconds > 0 ? seconds * 1000000000u : GAS_FOREVER;
}

void pg_blocked_ask(int owner)
{
    gas_am_t am = {.handler = PG_HANDLER_BLOCKED};

    gas_am_send(pg.job, owner, &am, NULL, NULL); /* if it fails, the caller will hear of that */
}

/* ---- the lookout ---- */

typedef struct sight {
    post_t *post;
    unsigned long serial;
    uint64_t cpu; /* processor time of the thread, in nanoseconds */
} sight_t;

static bool cpu_of(post_t *post, uint64_t *cpu)
{
    struct timespec time;
    clockid_t clock;

    if (atomic_load(&post->over) || pthread_getcpuclockid(post->thread, &clock) != 0 ||
        clock_gettime(clock, &time) != 0)
        return false;
    *cpu = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
    return true;
}

/* True if the thread is inside a request and does not wait in PyGAS. */
static bool look(post_t *post, sight_t *sight)
{
    *sight = (sight_t){.post = post, .serial = atomic_load(&post->serial)};
    return atomic_load(&post->depth) > 0 && !atomic_load(&post->waiting) &&
           cpu_of(post, &sight->cpu);
}

/* True if it still is where it was when it was seen before, and has done next to nothing. */
static bool is_blocked(const sight_t *before)
{
    uint64_t allowed = pg_blocked_patience() / 1000u * BUSY_PER_MILLE;
    sight_t now;

    return look(before->post, &now) && now.serial == before->serial &&
           now.cpu - before->cpu < allowed && atomic_load(&before->post->reported) != now.serial;
}

/* Attached. Writes to sys.stderr. */
static void report(const sight_t *sight, size_t queued)
{
    post_t *post = sight->post;
    pg_running_t *running;
    PyObject *object, *args, *module, *done = NULL;
    pg_op_t op;
    int source;

    POST_LOCK(post);
    running = atomic_load(&post->serial) == sight->serial ? post->top : NULL;
    if (running == NULL) {
        POST_UNLOCK(post);
        return;
    }
    object = Py_NewRef(running->object != NULL ? running->object : Py_None);
    args = Py_NewRef(running->args != NULL ? running->args : Py_None);
    op = running->head != NULL ? running->head->op : PG_OP_CALL;
    source = running->source;
    POST_UNLOCK(post);
    atomic_store(&post->reported, sight->serial);
    module = PyImport_ImportModule("pygas._blocked");
    if (module != NULL)
        done = PyObject_CallMethod(module, "report", "ksOOink", post->ident, pg_op_name(op), object,
                                   args, source, (Py_ssize_t)queued,
                                   (unsigned long)(pg_blocked_patience() / 1000000000u));
    if (done == NULL)
        pg_unraisable("while reporting a request that blocks its rank");
    Py_XDECREF(done);
    Py_XDECREF(module);
    Py_DECREF(args);
    Py_DECREF(object);
}

static bool pause_for(uint64_t nanoseconds)
{
    uint64_t end = gas_clock_now() + nanoseconds;
    struct timespec pause = {.tv_nsec = 50000000};

    while (gas_clock_left(end) > 0 && atomic_load(&pg.phase) == PG_RUNNING)
        nanosleep(&pause, NULL);
    return atomic_load(&pg.phase) == PG_RUNNING;
}

/* Looks again, after the pause, and reports; as one of pg.users, so that the job stays. */
static void look_again(const sight_t *sights, size_t seen)
{
    size_t queued = atomic_load(&pg.job->workq.count);
    bool blocked = false;
    PyGILState_STATE gil;

    for (size_t i = 0; i < seen; i++)
        blocked |= is_blocked(&sights[i]);
    if (!blocked || (queued == 0 && !gas_config_debugs(&pg.job->config, "1")))
        return;
    gil = PyGILState_Ensure();
    for (size_t i = 0; i < seen && atomic_load(&pg.phase) == PG_RUNNING; i++)
        if (is_blocked(&sights[i]))
            report(&sights[i], queued);
    PyGILState_Release(gil);
}

static void *lookout_main(void *unused)
{
    sight_t sights[POSTS_MAX];
    uint64_t patience;
    size_t seen = 0;

    (void)unused;
    if (pg_enter_if_running()) {
        patience = pg_blocked_patience();
        for (post_t *post = atomic_load(&posts); post != NULL && seen < POSTS_MAX;
             post = post->next)
            seen += look(post, &sights[seen]);
        pg_leave();
        if (seen > 0)
            pause_for(patience);
    }
    if (seen > 0 && pg_enter_if_running()) {
        look_again(sights, seen);
        pg_leave();
    }
    atomic_store(&looking, false);
    return NULL;
}

/* Not attached. */
void pg_blocked_asked(gas_job_t *job, gas_msg_t *msg, void *arg)
{
    pthread_t thread;

    (void)arg;
    gas_msg_free(job, msg);
    if (job->config.blocked_s == 0 || atomic_exchange(&looking, true))
        return;
    if (gas_thread_start(&thread, "pygas-lookout", lookout_main, NULL) == 0)
        pthread_detach(thread);
    else
        atomic_store(&looking, false); /* next time, perhaps */
}

void pg_blocked_after_fork(void)
{
    atomic_store(&looking, true); /* nobody asks here */
}
