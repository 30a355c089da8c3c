import pytest

from planner.variation import put


@pytest.mark.parametrize("pointer", ["/a/b/c", "/list/2", "/list/x", "/missing/x"])
def test_there_is_no_place_for_some_pointers(pointer):
    with pytest.raises(LookupError):
        put({"a": {"b": 1}, "list": [1, 2]}, pointer, 3)


def test_a_pointer_leads_into_lists_and_to_new_fields():
    body = {"list": [{"x": 1}], "object": {}}
    put(body, "/list/0/x", 2)
    put(body, "/object/a~1b", 3)
    assert body == {"list": [{"x": 2}], "object": {"a/b": 3}}
