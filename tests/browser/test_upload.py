"""A broken upload gets its error, and the app goes on."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from playwright.sync_api import expect

from tests.browser.conftest import Tab


def test_broken_uploads_get_their_errors_and_the_app_goes_on(tab: Tab, tmp_path: Path) -> None:
    whole = tmp_path / "whole.nii.gz"
    nib.save(
        nib.Nifti1Image(np.random.default_rng(1).random((30, 30, 30), dtype=np.float32), np.eye(4)), whole
    )
    truncated = tmp_path / "truncated.nii.gz"
    truncated.write_bytes(whole.read_bytes()[:4000])
    text = tmp_path / "text.nii"
    text.write_text("not an image")
    tab.page.goto(tab.server.url)
    tab.page.get_by_role("link", name="Upload").click()
    tab.page.locator('input[type="file"]').first.set_input_files([truncated, text])
    errors = tab.page.get_by_test_id("stAlert")
    expect(errors.filter(has_text="truncated.nii.gz").first).to_be_visible()
    expect(errors.filter(has_text="text.nii").first).to_be_visible()
    tab.page.get_by_role("link", name="Review").click()
    tab.name("Uma")
    expect(tab.viewer).to_have_attribute("data-state", "ready")
