"""Where real hands come from: addresses, licences, credit, and how to get what no address gives.

None of these sets but LSA16 may be passed on, and no publisher prints checksums, so a file is checked by being
readable and of the right layout. Sizes are given where the host's own answer is known; None where it is not.
"""

from thesislib.datasets.sources import DataError, RemoteFile, Source

FREIBURG = "https://lmb.informatik.uni-freiburg.de"
PANOPTIC = "http://domedb.perception.cs.cmu.edu"
RESEARCH_ONLY = "research only, no commercial use"

HAND_SOURCES = (
    Source(
        name="ganerated",
        title="GANerated Hands",
        version="v3, 143,449 pictures without and 188,050 with an object",
        files=(),
        licence="the publisher's own terms, license.txt of the release",
        credit="GANerated Hands (Franziska Mueller and others, 2018)",
        citation_key="mueller2018",
        homepage="https://handtracker.mpi-inf.mpg.de/projects/GANeratedHands/GANeratedDataset.htm",
        when_gone=(
            "Read and accept the terms on the homepage, download GANeratedDataset_v3.zip (33.7 GB, or its "
            "parts) and unpack it into the folder ganerated; it makes GANeratedHands_Release/data/."
        ),
    ),
    Source(
        name="rhd",
        title="Rendered Hand Pose Dataset",
        version="1.1, 41,258 and 2,728 pictures",
        files=(
            RemoteFile(
                url=f"{FREIBURG}/data/RenderedHandpose/RHD_v1-1.zip",
                path="rhd/RHD_v1-1.zip",
                bytes=7_080_690_299,
                unpack=True,
            ),
        ),
        licence=RESEARCH_ONLY,
        credit="Rendered Hand Pose Dataset (Christian Zimmermann and Thomas Brox, 2017)",
        citation_key="zimmermann2017",
        homepage=f"{FREIBURG}/resources/datasets/RenderedHandposeDataset.en.html",
        when_gone="Look on the homepage; unpack the archive into the folder rhd.",
    ),
    Source(
        name="freihand",
        title="FreiHAND",
        version="2, 130,240 and 3,960 pictures",
        files=tuple(
            RemoteFile(url=f"{FREIBURG}/data/freihand/{name}", path=f"freihand/{name}", unpack=True)
            for name in ("FreiHAND_pub_v2.zip", "FreiHAND_pub_v2_eval.zip")
        ),
        licence=RESEARCH_ONLY,
        credit="FreiHAND (Christian Zimmermann and others, 2019)",
        citation_key="zimmermann2019",
        homepage=f"{FREIBURG}/projects/freihand/",
        when_gone="Look on the homepage; unpack both archives into the folder freihand.",
    ),
    Source(
        name="onehand10k",
        title="OneHand10K",
        version="10,000 and 1,703 pictures",
        files=(),
        licence="non-commercial",
        credit="OneHand10K (Yangang Wang, Cong Peng and Yebin Liu, 2018)",
        citation_key="wang2018",
        homepage="https://www.yangangwang.com/papers/WANG-MCC-2018-10.html",
        when_gone=(
            "The homepage tells how to get it and on what terms; unpack it so that the folder onehand10k holds "
            "Train/ and Test/, each with source/ and label_joint.txt."
        ),
    ),
    Source(
        name="cmu_hands",
        title="CMU Panoptic: hands with manual keypoints",
        version="1,912 and 846 hands",
        files=(
            RemoteFile(
                url=f"{PANOPTIC}/panopticDB/hands/hand_labels.zip",
                path="cmu_hands/hand_labels.zip",
                unpack=True,
            ),
        ),
        licence="the publisher's own terms, on the homepage",
        credit="Hands with manual keypoint annotations (Tomas Simon and others, CMU Panoptic, 2017)",
        citation_key="simon2017",
        homepage=f"{PANOPTIC}/handdb.html",
        when_gone="Look on the homepage; unpack hand_labels.zip into the folder cmu_hands.",
    ),
    Source(
        name="keypoint_samples",
        title="Labelled samples of FreiHAND, OneHand10K, Panoptic, RHD and InterHand2.6M",
        version="23 pictures",
        files=(),
        licence="each set's own research terms: show none of the pictures",
        credit="Test samples of MMPose (OpenMMLab), from the sets named",
        citation_key="mmpose2020",
        homepage="https://github.com/open-mmlab/mmpose/tree/main/tests/data",
        when_gone=(
            "Copy freihand, onehand10k, panoptic, rhd and interhand2.6m from the folder tests/data of the "
            "MMPose repository into the folder keypoint_samples."
        ),
    ),
    Source(
        name="asl7",
        title="Static ASL letters by seven people, with hand boxes",
        version="five people, 24 letters, 10 photos a letter, with MediaPipe's points",
        files=(),
        licence="none stated; faces are visible: show none of the pictures",
        credit="github.com/mon95/Sign-Language-and-Static-gesture-recognition-using-sklearn",
        citation_key="asl7",
        homepage="https://github.com/mon95/Sign-Language-and-Static-gesture-recognition-using-sklearn",
        when_gone=(
            "The repository holds the pictures and boxes. The points are MediaPipe Hands 0.10.14's (full model) "
            "on each picture, in mediapipe_landmarks.npz: xyz, letter, signer, image."
        ),
    ),
    Source(
        name="asl_fingerspelling_a",
        title="ASL Finger Spelling Dataset, set A",
        version="five signers, 24 letters, 65,774 colour pictures and as many of depth",
        files=(
            RemoteFile(
                url="http://www.cvssp.org/FingerSpellingKinect2011/fingerspelling5.tar.bz2",
                path="asl_fingerspelling_a/fingerspelling5.tar.bz2",
                unpack=True,
            ),
        ),
        licence="none stated, meant for research; faces are visible: show none of the pictures",
        credit="ASL Finger Spelling Dataset (Nicolas Pugeault and Richard Bowden, University of Surrey, 2011)",
        citation_key="pugeault2011",
        homepage="http://empslocal.ex.ac.uk/people/staff/np331/index.php?section=FingerSpellingDataset",
        when_gone=(
            "Look on the homepage; unpack the archive into the folder asl_fingerspelling_a. It makes "
            "dataset5/A/a/color_0_0002.png and so on; a part of the signers will do."
        ),
    ),
    Source(
        name="massey",
        title="Massey University's 2D static hand gestures",
        version="five hands, 36 gestures, 2,515 pictures; the publication counts 2,425",
        files=(),
        licence="none found; research: show none of the pictures",
        credit="Hand gesture dataset (Andre Barczak, Napoleon Reyes and others, Massey University, 2011)",
        citation_key="barczak2011",
        homepage="http://iims.massey.ac.nz/research/letters/",
        when_gone=(
            "No address of the pictures is known to have lasted; copies are on the web. Unpack one into the folder "
            "massey, in folders by label or in one: hand1_a_bot_seg_1_cropped.jpeg or .png and so on."
        ),
    ),
    Source(
        name="lsa16",
        title="LSA16, handshapes of Argentinian Sign Language",
        version="ten people, 16 handshapes, 800 pictures",
        files=(),
        licence="CC BY-NC-SA 4.0",
        credit="LSA16 (Franco Ronchetti, Facundo Quiroga and others, Universidad Nacional de La Plata)",
        citation_key="ronchetti2016",
        homepage="https://facundoq.github.io/datasets/lsa16/index.html",
        when_gone=(
            "Take the colour version with cut-out hands on their background from the homepage, and unpack it into "
            "the folder lsa16: 01_01_01.png and so on."
        ),
    ),
    Source(
        name="rwth_fingerspelling",
        title="RWTH German Fingerspelling Database",
        version="20 people, 35 gestures, two days, two cameras; 3,036 videos with those of four more people",
        files=(),
        licence="freely available, says the publisher; cite the publication. Faces are visible: show none of it",
        credit="RWTH German Fingerspelling Database (Philippe Dreuw and others, RWTH Aachen University, 2006)",
        citation_key="dreuw2006",
        homepage="https://www-i6.informatik.rwth-aachen.de/aslr/fingerspelling.php",
        when_gone=(
            "The homepage has the download. Unpack it so that the folder rwth_fingerspelling holds "
            "video/1/1_1_1_cam1.mpg and so on."
        ),
    ),
)


def find_hand_source(name: str) -> Source:
    """Return the source with this name; DataError names the ones that exist."""
    for source in HAND_SOURCES:
        if source.name == name:
            return source
    raise DataError(f"no set of hands {name!r}; there are: {', '.join(s.name for s in HAND_SOURCES)}")
