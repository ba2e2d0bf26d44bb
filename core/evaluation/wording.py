"""Words that tables, page and dashboard share; no numbers are computed here."""

from __future__ import annotations

NORMAL, ABNORMAL = "test normal", "test abnormal"
TRAIN, VALIDATION = "train", "validation"
# Two questions asked of one score. The second is the paper's: it also measures how well the network knows
# the scans it was trained on.
VARIANTS = {
    "test normal against test abnormal": (NORMAL, ABNORMAL),
    "train against test abnormal (as in the paper)": (TRAIN, ABNORMAL),
}
# What the baselines, which are no networks, score by.
SCORES = {
    "identity": "no score (identity)",
    "intensity": "intensity",
    "log_intensity": "log intensity",
    "pca": "residual of principal components",
}
COHORTS_DIFFER = (
    "The cohorts differ: the paper's scans are real newborns of the dHCP at 256³, its test set abnormal "
    "scans only; set side by side, the numbers show the shape of a result, not its reproduction."
)
GOALS = (
    "What the path beyond the paper set out to reach on test scans. Our map and its case score were fixed "
    "before test scans were measured; what they are held against is the best on these scans."
)
TITLES = {
    "goals": "Goals of the path beyond the paper: needed and reached on test scans",
    "subjects": "Every measure of every scan and model (figures 3, 4, S1 to S4)",
    "summary": "MSE and cluster size by model and split (figures 3 and 4)",
    "significance": "Mann–Whitney tests between splits, Holm-corrected over the models",
    "roc": "Points of the ROC curves of volume MSE (figures S5 and S6)",
    "auc": "AUC of volume MSE, test normals or training scans against test abnormals",
    "paper": "Paper value, ours, data set",
    "localisation": "Voxels and lesions found, by network and baseline",
    "froc": "Lesion-wise sensitivity and false positives a scan by threshold of |z|",
    "lesions": "Lesions and their voxels found, by type and size",
    "case_auc": "Case AUC by score, test normals against test abnormals",
    "false_alarms": "Flagged regions a scan in validation normals, as Review shows them",
}
NOTES = (
    "Train against test abnormal is the paper's comparison; it also measures how well a network knows the "
    "scans it was trained on. Test normal against test abnormal does not.",
    "Dice is reported at a threshold of |z| for each score, the one with the highest mean Dice on lesions "
    "implanted into the validation normals, each normal left out of what it is scored against. Test scans "
    "are not searched, and implants are not their lesions: the best threshold on test may be another.",
    "Networks' normative z comes from the validation normals. Intensity baselines are given twice: fitted on "
    "the same validation normals, and on the training normals, which they may use since they train nothing "
    "else. Validation scans have no normative measure of their own here.",
    "Log intensity as normative z, with no network, is the baseline to beat.",
    "A lesion is found where components of |z| above the threshold cover a tenth of it; a component is false "
    'unless a tenth of it lies in or next to a lesion. Components of any size count; "listed" are '
    "those as large as the smallest region that Review lists.",
    "By type and size, lesions found are those at the whole test set's one false positive a scan; voxels of "
    "other lesions count neither way, and there is no interval where fewer than 5 scans have such a "
    "lesion. A lesion's size is that in the scan.",
    "Regions, lesions and clusters are measured in the cube, so in the reference brain's space.",
)
