from service.auth.bucket import Bucket


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_is_full_at_first_and_fills_up_to_a_minute_s_worth() -> None:
    clock = Clock()
    bucket = Bucket(60, clock)
    assert bucket.level == 60
    bucket.take(30)
    clock.now += 10
    assert bucket.level == 40
    clock.now += 3600
    assert bucket.level == 60


def test_it_may_owe_and_says_until_when() -> None:
    clock = Clock()
    bucket = Bucket(60, clock)
    assert bucket.wait == 0
    bucket.take(150)
    assert bucket.wait == 91
    clock.now += 90
    assert bucket.wait == 1, "nothing is in it yet"
    clock.now += 1
    assert bucket.wait == 0


def test_what_was_taken_too_much_is_put_back() -> None:
    bucket = Bucket(60, Clock())
    bucket.take(50)
    bucket.take(-20)
    assert bucket.level == 30
