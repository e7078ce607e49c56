#include "base/err.h"
#include "base/mailbox.h"
#include "base/thread.h"
#include "tests/unit/base/unit.h"
#include <poll.h>

struct letter {
    struct mail mail; /* first: the mailbox knows only this */
    int sender, number;
};

static bool
readable(const struct mailbox *m, int wait_ms)
{
    struct pollfd p = {.fd = mailbox_fd(m), .events = POLLIN};
    return poll(&p, 1, wait_ms) == 1;
}

static void
mail_comes_in_order_and_all_at_once(void **state)
{
    (void)state;
    struct mailbox m;
    struct letter a, b;
    assert_int_equal(mailbox_init(&m, 10), 0);
    assert_null(mailbox_take_all(&m));
    assert_int_equal(mailbox_post(&m, &a.mail), 0);
    assert_int_equal(mailbox_post(&m, &b.mail), 0);
    struct mail *got = mailbox_take_all(&m);
    assert_ptr_equal(got, &a.mail);
    assert_ptr_equal(got->next, &b.mail);
    assert_null(got->next->next);
    assert_null(mailbox_take_all(&m));
    mailbox_release(&m);
}

static void
the_descriptor_is_readable_from_post_or_wake_to_take(void **state)
{
    (void)state;
    struct mailbox m;
    struct letter a;
    assert_int_equal(mailbox_init(&m, 10), 0);
    assert_false(readable(&m, 0));
    assert_int_equal(mailbox_post(&m, &a.mail), 0);
    assert_true(readable(&m, 0));
    assert_non_null(mailbox_take_all(&m));
    assert_false(readable(&m, 0));
    mailbox_wake(&m);
    mailbox_wake(&m);
    assert_true(readable(&m, 0));
    assert_null(mailbox_take_all(&m));
    assert_false(readable(&m, 0));
    mailbox_release(&m);
}

static void
a_full_mailbox_refuses_until_it_is_taken(void **state)
{
    (void)state;
    struct mailbox m;
    struct letter a, b, c;
    assert_int_equal(mailbox_init(&m, 2), 0);
    assert_int_equal(mailbox_post(&m, &a.mail), 0);
    assert_int_equal(mailbox_post(&m, &b.mail), 0);
    assert_int_equal(mailbox_post(&m, &c.mail), ERR_LIMIT);
    assert_ptr_equal(mailbox_take_all(&m)->next, &b.mail);
    assert_int_equal(mailbox_post(&m, &c.mail), 0);
    assert_ptr_equal(mailbox_take_all(&m), &c.mail);
    mailbox_release(&m);
}

static void
a_closed_mailbox_refuses_but_keeps_what_it_has(void **state)
{
    (void)state;
    struct mailbox m;
    struct letter a, b;
    assert_int_equal(mailbox_init(&m, 2), 0);
    assert_int_equal(mailbox_post(&m, &a.mail), 0);
    mailbox_close(&m);
    assert_int_equal(mailbox_post(&m, &b.mail), ERR_CLOSED);
    assert_ptr_equal(mailbox_take_all(&m), &a.mail);
    mailbox_release(&m);
}

#define LETTERS 3000

struct sender {
    struct mailbox *to;
    int number;
    struct letter letters[LETTERS];
};

static void
send_all(void *arg)
{
    struct sender *s = arg;
    for (int i = 0; i < LETTERS; i++) {
        s->letters[i].sender = s->number;
        s->letters[i].number = i;
        must(mailbox_post(s->to, &s->letters[i].mail) == 0);
    }
}

static void
no_letter_of_many_senders_is_lost_slept_over_or_out_of_order(void **state)
{
    (void)state;
    static struct sender senders[2];
    struct thread threads[2];
    struct mailbox m;
    int next[2] = {0};
    assert_int_equal(mailbox_init(&m, SIZE_MAX), 0);
    for (int i = 0; i < 2; i++) {
        senders[i].to = &m;
        senders[i].number = i;
        assert_int_equal(thread_start(&threads[i], "sender", send_all, &senders[i]), 0);
    }
    while (next[0] + next[1] < 2 * LETTERS) {
        assert_true(readable(&m, 60000));
        for (struct mail *at = mailbox_take_all(&m); at != NULL; at = at->next) {
            const struct letter *l = (const struct letter *)at;
            assert_int_equal(l->number, next[l->sender]);
            next[l->sender]++;
        }
    }
    thread_join(&threads[0]);
    thread_join(&threads[1]);
    mailbox_release(&m);
}

static void
release_full(void *arg)
{
    struct mailbox m;
    struct letter a;
    (void)arg;
    if (mailbox_init(&m, 2) == 0 && mailbox_post(&m, &a.mail) == 0)
        mailbox_release(&m);
}

static void
releasing_one_with_mail_inside_is_a_programmers_mistake(void **state)
{
    (void)state;
    assert_true(unit_aborts(release_full, NULL));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mail_comes_in_order_and_all_at_once),
        cmocka_unit_test(the_descriptor_is_readable_from_post_or_wake_to_take),
        cmocka_unit_test(a_full_mailbox_refuses_until_it_is_taken),
        cmocka_unit_test(a_closed_mailbox_refuses_but_keeps_what_it_has),
        cmocka_unit_test(no_letter_of_many_senders_is_lost_slept_over_or_out_of_order),
        cmocka_unit_test(releasing_one_with_mail_inside_is_a_programmers_mistake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
